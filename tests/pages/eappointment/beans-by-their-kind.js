throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
var s0=[];var s1={};s1.siteKey="MA5A";s1.name="Annexe";s0[0]=s1;
dwr.engine._remoteHandleCallback('3','0',s0);
