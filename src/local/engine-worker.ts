/** The worker thread of one local model: loads it and runs one call at a time. */
import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { runCall } from './run-call.ts';
import type { Engine, EngineSpec } from './engine.ts';
import { EngineRefusal, messageOf } from './engine.ts';
import type { FromThread, ThreadData, ThreadError, ThreadMemory, ToThread } from './messages.ts';

const { spec, stopped } = workerData as ThreadData;
const stoppedId = new Int32Array(stopped);
const text = new TextEncoder();
let loading: Promise<Engine> | null = null;
let loadedBytes = 0;
let running: Promise<void> = Promise.resolve();
/** The current call. */
let stopping: { readonly id: number; readonly controller: AbortController } | null = null;

function post(message: FromThread): void {
  if (message.kind === 'data') parentPort!.postMessage(message, [message.bytes.buffer as ArrayBuffer]);
  else parentPort!.postMessage(message);
}

/**
 * Lowers the priority of this thread, and of the threads that a library starts from it, below that of the main thread, which serves
 * all requests. Only on Linux do threads have process ids.
 */
function lowerPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (thread > 0 && thread !== process.pid) setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Not permitted: the thread keeps its priority.
  }
}

async function load(): Promise<Engine> {
  lowerPriority();
  const before = process.memoryUsage.rss();
  const engine = await loadEngine(spec);
  loadedBytes = Math.max(0, process.memoryUsage.rss() - before);
  return engine;
}

async function loadEngine(of: EngineSpec): Promise<Engine> {
  switch (of.engine) {
    case 'extract':
      return (await import('./extract/extract-engine.ts')).createExtractEngine();
    case 'transformers':
      return (await import('./transformers/transformers-engine.ts')).loadTransformersEngine(of);
    case 'llama':
      return (await import('./llama/llama-engine.ts')).loadLlamaEngine(of);
  }
}

function memory(): ThreadMemory {
  const { heapTotal, external } = process.memoryUsage();
  return { heapBytes: heapTotal + external, loadedBytes };
}

function toError(error: unknown): ThreadError {
  if (error instanceof EngineRefusal) return { status: error.status, code: error.code, message: error.message, detail: error.detail };
  return { status: 503, code: 'engine_not_loaded', message: `${spec.name} could not be loaded`, detail: messageOf(error) };
}

async function run({ id, path, body, epochMs }: Extract<ToThread, { kind: 'call' }>): Promise<void> {
  const engine = await (loading ??= load());
  const controller = new AbortController();
  stopping = { id, controller };
  const call = {
    signal: controller.signal,
    id: `chatcmpl-local-${epochMs.toString(36)}-${id}`,
    path,
    body,
    created: Math.floor(epochMs / 1000),
    isStopped: () => Atomics.load(stoppedId, 0) >= id,
  };
  try {
    await runCall(engine, spec, call, {
      head: (status, contentType) => post({ kind: 'head', id, status, contentType }),
      data: (written) => post({ kind: 'data', id, bytes: text.encode(written) }),
    });
  } catch (error) {
    post({ kind: 'broken', id, message: messageOf(error) });
  }
  post({ kind: 'end', id, memory: memory() });
}

function stop(id: number): void {
  if (stopping !== null && stopping.id <= id) stopping.controller.abort();
}

async function preload(): Promise<void> {
  try {
    await (loading ??= load());
    post({ kind: 'loaded', memory: memory() });
  } catch (error) {
    post({ kind: 'unloadable', error: toError(error) });
  }
}

async function close(): Promise<void> {
  // A library's memory must not be freed during a computation.
  await running;
  await loading?.then((engine) => engine.close()).catch(() => {});
  parentPort!.close();
}

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'load') void preload();
  else if (message.kind === 'call') running = run(message).catch(() => {});
  else if (message.kind === 'stop') stop(message.id);
  else void close();
});
