throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
dwr.engine._remoteHandleCallback('3','0',{foundAvailabilities:false,msg:'Aucun rendez-vous n\'est possible pour les motifs selectionnn\u00E9s ou le cr\u00E9neau horaire s\u00E9l\u00E9ctionn\u00E9.'});
