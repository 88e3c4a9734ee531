/** A thread that does as its prompt says: it stands in for engines that crash, hang or never end. */
import { parentPort, workerData } from 'node:worker_threads';
import { runCall } from './run-call.ts';
import type { Engine, Prompt, Writing } from './engine.ts';
import type { FromThread, ThreadData, ToThread } from './messages.ts';

const { spec, stopped } = workerData as ThreadData;
const stoppedId = new Int32Array(stopped);
const memory = { heapBytes: 1_000, loadedBytes: 2_000 };
const tell = (message: FromThread): void => parentPort!.postMessage(message);
const breath = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const told = { inputTokens: 3, outputTokens: 1 };

const engine: Engine = {
  async generate({ messages }: Prompt, writing: Writing) {
    const what = messages[0]!.content;
    if (what.startsWith('say ')) writing.emit(what.slice(4));
    if (what.startsWith('begin, ')) {
      writing.emit('begun');
      await breath();
      // What it has said is to be heard before it ends, however busy the machine is.
      Atomics.wait(stoppedId, 0, Atomics.load(stoppedId, 0), 100);
    }
    if (what.endsWith('exit')) process.exit(7);
    if (what.endsWith('throw')) {
      setImmediate(() => {
        throw new Error('thrown where nobody catches');
      });
      await new Promise(() => {});
    }
    if (what.endsWith('reject')) throw new Error('no such layer\nsecond line');
    if (what.endsWith('eat')) for (const eaten: unknown[] = []; ;) eaten.push(new Array(100_000).fill(what));
    if (what.endsWith('spin')) for (;;);
    if (what.endsWith('doze')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    if (what.endsWith('drip')) {
      while (!writing.isStopped()) {
        writing.emit('.');
        Atomics.wait(stoppedId, 0, Atomics.load(stoppedId, 0), 1);
        await breath();
      }
    }
    return { finishReason: 'stop', ...told };
  },
  close: () => Promise.resolve(),
};

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'load') {
    if (spec.weights === 'missing')
      tell({ kind: 'unloadable', error: { status: 501, code: 'engine_unavailable', message: 'no weights', detail: null } });
    else tell({ kind: 'loaded', memory });
  } else if (message.kind === 'close') parentPort!.close();
  else if (message.kind === 'call') void answer(message);
});

async function answer({ id, path, body }: Extract<ToThread, { kind: 'call' }>): Promise<void> {
  const call = { id: 'c', path, body, created: 0, signal: new AbortController().signal, isStopped: () => Atomics.load(stoppedId, 0) >= id };
  try {
    await runCall(engine, spec, call, {
      head: (status, contentType) => tell({ kind: 'head', id, status, contentType }),
      data: (text) => tell({ kind: 'data', id, bytes: Buffer.from(text) }),
    });
  } catch (error) {
    tell({ kind: 'broken', id, message: String(error) });
  }
  tell({ kind: 'end', id, memory });
}
