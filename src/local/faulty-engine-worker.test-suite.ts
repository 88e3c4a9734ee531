/** A worker thread whose behavior is set by its prompt: a test double for engines that crash, hang or never end. */
import { parentPort, workerData } from 'node:worker_threads';
import { runCall } from './run-call.ts';
import type { Engine, Prompt, Output } from './engine.ts';
import type { FromThread, ThreadData, ToThread } from './messages.ts';

const { spec, stopped } = workerData as ThreadData;
const stoppedId = new Int32Array(stopped);
const memory = { heapBytes: 1_000, loadedBytes: 2_000 };
const post = (message: FromThread): void => parentPort!.postMessage(message);
const breath = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const usage = { inputTokens: 3, outputTokens: 1 };

const engine: Engine = {
  async generate({ messages }: Prompt, output: Output) {
    const what = messages[0]!.content;
    if (what.startsWith('say ')) output.emit(what.slice(4));
    if (what.startsWith('begin, ')) {
      output.emit('begun');
      await breath();
      // The message must arrive before the thread ends, also on a busy machine.
      Atomics.wait(stoppedId, 0, Atomics.load(stoppedId, 0), 100);
    }
    if (what.endsWith('exit')) process.exit(7);
    if (what.endsWith('throw')) {
      setImmediate(() => {
        throw new Error('uncaught');
      });
      await new Promise(() => {});
    }
    if (what.endsWith('reject')) throw new Error('no such layer\nsecond line');
    if (what.endsWith('eat')) for (const eaten: unknown[] = []; ;) eaten.push(new Array(100_000).fill(what));
    if (what.endsWith('spin')) for (;;);
    if (what.endsWith('doze')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    if (what.endsWith('drip')) {
      while (!output.isStopped()) {
        output.emit('.');
        Atomics.wait(stoppedId, 0, Atomics.load(stoppedId, 0), 1);
        await breath();
      }
    }
    return { finishReason: 'stop', ...usage };
  },
  close: () => Promise.resolve(),
};

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'load') {
    if (spec.weights === 'missing')
      post({ kind: 'unloadable', error: { status: 501, code: 'engine_unavailable', message: 'no weights', detail: null } });
    else post({ kind: 'loaded', memory });
  } else if (message.kind === 'close') parentPort!.close();
  else if (message.kind === 'call') void run(message);
});

async function run({ id, path, body }: Extract<ToThread, { kind: 'call' }>): Promise<void> {
  const call = { id: 'c', path, body, created: 0, signal: new AbortController().signal, isStopped: () => Atomics.load(stoppedId, 0) >= id };
  try {
    await runCall(engine, spec, call, {
      head: (status, contentType) => post({ kind: 'head', id, status, contentType }),
      data: (text) => post({ kind: 'data', id, bytes: Buffer.from(text) }),
    });
  } catch (error) {
    post({ kind: 'broken', id, message: String(error) });
  }
  post({ kind: 'end', id, memory });
}
