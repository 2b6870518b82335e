throw 'allowScriptTagRemoting is false.';
(function(){
if(!window.dwr)return;
var dwr=window.dwr._[0];
//#DWR-INSERT
//#DWR-REPLY
dwr.engine.remote.handleCallback("3","0",["2027-02-28","2027-02-31"]);
})();
