/** The batch APIs of OpenAI and Anthropic, beside the calls: neither limited nor counted as such. */
import type { ServerResponse } from 'node:http';
import type { Received } from '../dialect.ts';
import type { Dialects } from '../dialects.ts';
import type { StormOptions } from '../options.ts';
import { AnthropicBatches } from './anthropic-batches.ts';
import { BatchStore } from './batch-store.ts';
import { OpenaiBatches } from './openai-batches.ts';
import type { StormBatchOptions, StormBatchStats } from './options.ts';
import { createItemProcessor } from './process-item.ts';
import { refusal, sendReply } from './reply.ts';

export interface BatchCalls {
  /** False: the path is none of a batch API. */
  answer(received: Received, res: ServerResponse): boolean;
  set(options: StormBatchOptions): void;
  stats(): StormBatchStats;
  reset(): void;
}

export function createBatchCalls(options: StormOptions, dialects: Dialects, epochMs: () => number): BatchCalls {
  const store = new BatchStore(options.batches ?? {}, createItemProcessor(dialects, options, epochMs), epochMs);
  const openai = new OpenaiBatches(store, epochMs);
  const anthropic = new AnthropicBatches(store);
  const keys = options.apiKeys === undefined ? null : new Set(options.apiKeys);
  return {
    answer(received, res) {
      const path = received.path.replace(/^\/v1(?=\/)/, '');
      if (!/^\/(?:files|batches|messages\/batches)(?:\/|$)/.test(path)) return false;
      const key = keyOf(received);
      const found =
        keys !== null && !keys.has(key)
          ? refusal(401, 'Incorrect API key provided.', 'authentication_error')
          : (openai.answer(received, path, key) ?? anthropic.answer(received, path, key) ?? refusal(404, `Invalid URL (${path})`));
      sendReply(res, found);
      return true;
    },
    set: (next) => store.set(next),
    stats: () => ({ ...store.stats(), files: openai.fileCount }),
    reset() {
      store.reset();
      openai.reset();
    },
  };
}

function keyOf({ headers }: Received): string {
  const { authorization, 'x-api-key': key } = headers;
  return typeof key === 'string' ? key : (authorization?.replace(/^Bearer /, '') ?? '');
}
