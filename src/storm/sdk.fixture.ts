/** What tests with official SDKs share. */
import assert from 'node:assert/strict';
import { startStorm } from './index.ts';
import type { Storm, StormOptions } from './index.ts';

/** A Storm that closes with its scope. */
export async function openStorm(options: StormOptions = {}): Promise<Storm & AsyncDisposable> {
  const storm = await startStorm(options);
  return { ...storm, [Symbol.asyncDispose]: () => storm.close() };
}

/** All that comes, in a list. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** What a call throws. */
export async function errorOf(call: Promise<unknown>): Promise<Error & Readonly<Record<string, unknown>>> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof Error);
    return error as Error & Readonly<Record<string, unknown>>;
  }
  return assert.fail('the call succeeded');
}
