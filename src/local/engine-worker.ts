/** The thread of one local model: loads it when told, and answers one call at a time. */
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
let answering: Promise<void> = Promise.resolve();
/** Of the call that runs. */
let stopping: { readonly id: number; readonly controller: AbortController } | null = null;

function tell(message: FromThread): void {
  if (message.kind === 'data') parentPort!.postMessage(message, [message.bytes.buffer as ArrayBuffer]);
  else parentPort!.postMessage(message);
}

/**
 * Computing must not take the processor from the thread that serves everybody: this thread, and those that a library
 * makes from it, stand back. Only Linux knows threads by number.
 */
function standBack(): void {
  if (process.platform !== 'linux') return;
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (thread > 0 && thread !== process.pid) setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Not allowed here: it competes as an equal.
  }
}

async function load(): Promise<Engine> {
  standBack();
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

async function answer({ id, path, body, epochMs }: Extract<ToThread, { kind: 'call' }>): Promise<void> {
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
      head: (status, contentType) => tell({ kind: 'head', id, status, contentType }),
      data: (written) => tell({ kind: 'data', id, bytes: text.encode(written) }),
    });
  } catch (error) {
    tell({ kind: 'broken', id, message: messageOf(error) });
  }
  tell({ kind: 'end', id, memory: memory() });
}

function stop(id: number): void {
  if (stopping !== null && stopping.id <= id) stopping.controller.abort();
}

async function begin(): Promise<void> {
  try {
    await (loading ??= load());
    tell({ kind: 'loaded', memory: memory() });
  } catch (error) {
    tell({ kind: 'unloadable', error: toError(error) });
  }
}

async function close(): Promise<void> {
  // What a library computes with is not taken from under it.
  await answering;
  await loading?.then((engine) => engine.close()).catch(() => {});
  parentPort!.close();
}

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'load') void begin();
  else if (message.kind === 'call') answering = answer(message).catch(() => {});
  else if (message.kind === 'stop') stop(message.id);
  else void close();
});
