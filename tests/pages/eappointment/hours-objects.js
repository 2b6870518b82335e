throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
dwr.engine._remoteHandleCallback('3','0',[{startHour:"09:00",endHour:"09:15"},{hour:"10:30:00"}]);
