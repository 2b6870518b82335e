throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
var s0=document.cookie;
dwr.engine._remoteHandleCallback('3','0',{foundAvailabilities:true});
