throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
dwr.engine._remoteHandleCallback('3','0',{foundAvailabilities:false,msg:"Aucun rendez-vous n'est possible pour les motifs s√"});
