throw 'allowScriptTagRemoting is false.';
(function(){
if(!window.dwr)return;
var dwr=window.dwr._[0];
//#DWR-INSERT
//#DWR-REPLY
dwr.engine.remote.handleException("3","0",{javaClassName:"java.lang.NullPointerException",message:null});
})();
