// Loaded before the program by run.mjs: the other end of the pipe closes only when the parent process is gone. Workers and
// further children load this file too and can inherit the variable, but only the direct child has the pipe.
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const pipe = 3;
const parentPid = Number(process.env.BREAKWATER_PARENT);
delete process.env.BREAKWATER_PARENT;
if (isMainThread && parentPid === process.ppid) {
  const parent = new Socket({ fd: pipe, readable: true, writable: false });
  parent.on('error', () => {});
  parent.on('close', () => process.kill(process.pid, 'SIGKILL'));
  parent.resume();
  parent.unref();
}
