// Loaded before the program by run.mjs: the other end of the pipe closes only when that process is gone. The
// variable is taken away at once, so that workers and further children, which load this file too, leave it alone.
import { Socket } from 'node:net';

const fd = Number(process.env.BREAKWATER_PARENT_PIPE);
delete process.env.BREAKWATER_PARENT_PIPE;
if (fd > 0) {
  const parent = new Socket({ fd, readable: true, writable: false });
  parent.on('error', () => {});
  parent.on('close', () => process.kill(process.pid, 'SIGKILL'));
  parent.resume();
  parent.unref();
}
