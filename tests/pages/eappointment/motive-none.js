throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
var s0={};s0.foundAvailabilities=false;s0.initPreviousSelectedService=false;s0['initPreviousSelectedSite']=false;
s0.msg="Aucun rendez-vous n\'est possible pour les motifs selectionnn\u00E9s ou le cr\u00E9neau horaire s\u00E9l\u00E9ctionn\u00E9.";s0.overrideValue=null;
dwr.engine._remoteHandleCallback('3','0',s0);
