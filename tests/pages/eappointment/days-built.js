throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
var s0=[];s0[0]="2026-11-29";s0[1]='2026-11-28';
dwr.engine._remoteHandleCallback('3','0',s0);
