throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
var s1={},s0={};s1.serviceKey="27";s0.foundAvailabilities=true;s0.overrideValue=s1;s0.msg=null;
dwr.engine._remoteHandleCallback('3','0',s0);
