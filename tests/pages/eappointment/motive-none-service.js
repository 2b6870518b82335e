throw 'allowScriptTagRemoting is false.';
(function(){
if(!window.dwr)return;
var dwr=window.dwr._[0];
//#DWR-INSERT
//#DWR-REPLY
dwr.engine.remote.handleCallback("3","0",{"foundAvailabilities":false,"msg":"Il n\'y a pas de rendez-vous disponible pour ce service."});
})();
