/** The shapes of `providers`, as they are written. What presets and the environment add is filled in by `build-provider.ts`. */
import * as z from 'zod';
import { ENGINES, LOCAL_TASKS } from '../../local/engine.ts';
import { cloudKeys } from './cloud-schema.ts';
import { amount, count, flag, ratio, size, text, word } from './fields.ts';
import { policySettings } from './policy-schema.ts';

export const protocols = ['openai', 'anthropic', 'gemini', 'local'] as const;

const perSpan = (span: string) => count(1, 1e12).describe(`At most this many ${span}. Default: no limit but what is learned.`);

export const limitsSchema = z
  .strictObject({
    requestsPerSecond: amount(0.001, 1e9).describe('Requests a second. Default: no limit but what is learned.').optional(),
    requestsPerMinute: perSpan('requests a minute').optional(),
    requestsPerDay: perSpan('requests a day').optional(),
    tokensPerMinute: perSpan('tokens a minute, input and output').optional(),
    tokensPerDay: perSpan('tokens a day, input and output').optional(),
    inputTokensPerMinute: perSpan('input tokens a minute').optional(),
    outputTokensPerMinute: perSpan('output tokens a minute').optional(),
    concurrency: count(1, 1_000_000).describe('Requests running at once. Default: no limit but what is learned.').optional(),
    burst: ratio(
      0.0001,
      1,
      "must be above 0 and at most 1: it is the share of a window's limit that may be spent at once (1: a whole minute's worth)",
    )
      .describe("The share of a window's limit that may be spent at once, above 0 and at most 1. Default: 1, or what the preset says.")
      .optional(),
    window: word('bucket', 'sliding')
      .describe('bucket: refilled continuously; sliding: at most the limit in any 60 s. Default: what the preset says, else bucket.')
      .optional(),
  })
  .meta({ id: 'Limits', description: 'Limits per credential, shared by its models; those of one model come on top.' });

const { shape: policyShape } = policySettings.schema;
/** Policy blocks that stand directly in a provider or a model, and once more under `policy`. */
export const policyKeys = {
  ...policyShape,
  policy: policySettings.schema.describe('The same policy blocks, grouped. Each stands in one of the two places.').optional(),
};

const apiKey = text();

export const providerSchema = z
  .strictObject({
    preset: text()
      .describe('A known provider, whose base URL, protocol and ways this one has. Default: the name, if it is known.')
      .optional(),
    protocol: word(...protocols)
      .describe('The wire dialect. Default: that of the preset, else openai.')
      .optional(),
    baseUrl: z
      .string({ error: 'must be a URL' })
      .describe("What the provider's own SDK takes: with /v1 for OpenAI. Default: that of the preset.")
      .optional(),
    apiKey: z
      .string({ error: 'must be a text' })
      .describe("The credential; `caller` forwards the caller's own. Default: the preset's environment variable, if baseUrl is left alone.")
      .optional(),
    apiKeys: z
      .array(apiKey, { error: 'must be a list of keys' })
      .min(1, { error: 'must hold at least one key' })
      .max(1000, { error: 'must hold at most 1000 keys' })
      .describe('Several credentials, used in turn as their limits allow.')
      .optional(),
    headers: z
      .record(z.string(), z.string({ error: 'must be a text' }), { error: 'must be an object of header names and values' })
      .describe('Headers added to every request to this provider. Default: none.')
      .optional(),
    forwardHeaders: z
      .array(text(), { error: 'must be a list of header names' })
      .max(50, { error: 'must hold at most 50 names' })
      .describe(
        'Names of request headers of callers that are forwarded to this provider, beside those that help its prompt cache. Default: what the preset says.',
      )
      .optional(),
    limits: limitsSchema.optional(),
    models: z
      .record(
        z.string(),
        z
          .strictObject({
            limits: limitsSchema.optional(),
            protocol: word('openai', 'anthropic', 'gemini', 'converse')
              .describe(
                "What this model speaks. Default: the provider's; at azure, bedrock and vertex Claude models by their names speak anthropic, and bedrock's runtime is asked for all but OpenAI's models with converse.",
              )
              .optional(),
            prefill: flag<never>().describe("Whether this model continues a partial answer. Default: the provider's.").optional(),
            weights: text()
              .describe('Protocol local: the folder (transformers) or .gguf file (llama) of the weights, from the folder of the config.')
              .optional(),
            hub: text()
              .describe('Protocol local: the name of the model at the hub, from where it is downloaded when it is first loaded.')
              .optional(),
            task: word(...LOCAL_TASKS)
              .describe(
                'Protocol local, transformers: what the model does. Default: text-generation; for the name `summarize` summarization.',
              )
              .optional(),
            dtype: text()
              .describe('Protocol local, transformers: the precision of the weights, such as q8 or fp32. Default: q8.')
              .optional(),
            contextSize: count(16, 10_000_000)
              .describe(
                'Protocol local: tokens of prompt and answer together. Default: what the model was made for, for llama at most 4096.',
              )
              .optional(),
            maxTokens: count(1, 1_000_000)
              .describe('Protocol local: tokens of an answer whose caller sets no bound. Default: 512.')
              .optional(),
          })
          .describe('What is said of one model.'),
        {
          error: 'must be an object of model names',
        },
      )
      .describe('What is said of single models. Default: nothing.')
      .optional(),
    engine: word(...ENGINES)
      .describe('Protocol local: what runs its models. extract needs no weights and no package, and makes summaries only.')
      .optional(),
    warm: flag<never>().describe('Protocol local: models are loaded at the start, not with their first call. Default: false.').optional(),
    threads: count(1, 1024).describe('Protocol local: processor threads that a model computes with. Default: all but one.').optional(),
    maxHeap: size('32mb', '64gb')
      .describe(
        'Protocol local: the most memory of its JavaScript, the weights not counted; beyond it its thread ends. Default: 1gb, for extract 256mb.',
      )
      .optional(),
    cacheDir: text()
      .describe('Protocol local: where models of the hub are kept, from the folder of the config. Default: ./models.')
      .optional(),
    prefill: flag<never>()
      .describe('Whether it continues a partial answer given as the last message. Default: what the preset says, else false.')
      .optional(),
    nativeBatches: flag<never>()
      .describe(
        'Whether it has a batch API of its own at half the price: /files and /batches of OpenAI, or /messages/batches of Anthropic. Used with batch.native: prefer. Default: what the preset says, else false.',
      )
      .optional(),
    ...cloudKeys,
    ...policyKeys,
  })
  .meta({ id: 'Provider', description: 'Base URL, protocol, credentials and limits of one provider.' });

export type ProviderInput = z.output<typeof providerSchema>;
export type LimitsInput = z.output<typeof limitsSchema>;
