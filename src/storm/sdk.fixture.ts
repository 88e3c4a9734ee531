/** Helpers for tests with the official SDKs. */
import assert from 'node:assert/strict';
import { startStorm } from './index.ts';
import type { Storm, StormOptions } from './index.ts';

/** Starts a Storm that closes at the end of its scope. */
export async function openStorm(options: StormOptions = {}): Promise<Storm & AsyncDisposable> {
  const storm = await startStorm(options);
  return { ...storm, [Symbol.asyncDispose]: () => storm.close() };
}

/** Collects all items of an iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** The error that a call throws. */
export async function errorOf(call: Promise<unknown>): Promise<Error & Readonly<Record<string, unknown>>> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof Error);
    return error as Error & Readonly<Record<string, unknown>>;
  }
  return assert.fail('the call succeeded');
}
