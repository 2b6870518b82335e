throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
dwr.engine._remoteHandleCallback('3','0',{foundAvailabilities:true});
dwr.engine._remoteHandleCallback('4','0',{foundAvailabilities:false});
