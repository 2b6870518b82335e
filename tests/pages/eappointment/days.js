throw 'allowScriptTagRemoting is false.';
(function(){
if(!window.dwr)return;
var dwr=window.dwr._[0];
//#DWR-INSERT
//#DWR-REPLY
dwr.engine.remote.handleCallback("3","0",["2026-11-28","2026-11-29","2026-12-05","2026-12-06","2026-12-25"]);
})();
