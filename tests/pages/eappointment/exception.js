throw 'allowScriptTagRemoting is false.';
//#DWR-INSERT
//#DWR-REPLY
dwr.engine._remoteHandleException('3','0',{javaClassName:"java.lang.Throwable",message:"Error"});
