/** The input schema of `providers`. `build-provider.ts` adds what presets and the environment provide. */
import * as z from 'zod';
import { ENGINES, LOCAL_TASKS } from '../../local/engine.ts';
import { cloudKeys } from './cloud-schema.ts';
import { amount, count, flag, ratio, size, text, word } from './fields.ts';
import { policySettings } from './policy-schema.ts';

export const protocols = ['openai', 'anthropic', 'gemini', 'local'] as const;

const perSpan = (span: string) => count(1, 1e12).describe(`The most ${span}. Default: unlimited, except for learned limits.`);

export const limitsSchema = z
  .strictObject({
    requestsPerSecond: amount(0.001, 1e9)
      .describe('The most requests per second. Default: unlimited, except for learned limits.')
      .optional(),
    requestsPerMinute: perSpan('requests per minute').optional(),
    requestsPerDay: perSpan('requests per day').optional(),
    tokensPerMinute: perSpan('tokens per minute, input and output').optional(),
    tokensPerDay: perSpan('tokens per day, input and output').optional(),
    inputTokensPerMinute: perSpan('input tokens per minute').optional(),
    outputTokensPerMinute: perSpan('output tokens per minute').optional(),
    concurrency: count(1, 1_000_000).describe('The most concurrent requests. Default: unlimited, except for learned limits.').optional(),
    burst: ratio(0.0001, 1, "must be above 0 and at most 1: the share of a window's limit that may be used at once")
      .describe("The share of a window's limit that may be used at once, above 0 and at most 1. Default: that of the preset, else 1.")
      .optional(),
    window: word('bucket', 'sliding')
      .describe('bucket: refilled continuously; sliding: at most the limit in any 60 s. Default: that of the preset, else bucket.')
      .optional(),
  })
  .meta({ id: 'Limits', description: 'Limits per credential, shared by its models; the limits of one model apply in addition.' });

const { shape: policyShape } = policySettings.schema;
/** Policy blocks of a provider or model, either as its own keys or under `policy`. */
export const policyKeys = {
  ...policyShape,
  policy: policySettings.schema.describe('The same policy blocks in one object. Each may be set in one of the two places only.').optional(),
};

const apiKey = text();

export const providerSchema = z
  .strictObject({
    preset: text().describe('A known provider whose base URL, protocol and traits to use. Default: the name, if it is known.').optional(),
    protocol: word(...protocols)
      .describe('The wire protocol. Default: that of the preset, else openai.')
      .optional(),
    baseUrl: z
      .string({ error: 'must be a URL' })
      .describe("The base URL as in the provider's SDK: with /v1 for OpenAI. Default: that of the preset.")
      .optional(),
    apiKey: z
      .string({ error: 'must be a text' })
      .describe("The credential; `caller` forwards the caller's own. Default: the preset's environment variable, if baseUrl is not set.")
      .optional(),
    apiKeys: z
      .array(apiKey, { error: 'must be a list of keys' })
      .min(1, { error: 'must have at least one key' })
      .max(1000, { error: 'must have at most 1000 keys' })
      .describe('Several credentials; load is distributed within their limits.')
      .optional(),
    headers: z
      .record(z.string(), z.string({ error: 'must be a text' }), { error: 'must be an object of header names and values' })
      .describe('Headers added to every request to this provider. Default: none.')
      .optional(),
    forwardHeaders: z
      .array(text(), { error: 'must be a list of header names' })
      .max(50, { error: 'must have at most 50 names' })
      .describe(
        "Names of callers' request headers to forward to this provider, in addition to those for its prompt cache. Default: those of the preset.",
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
                "The protocol of this model. Default: the provider's; on azure, bedrock and vertex, anthropic for Claude models by name; on bedrock with service runtime, converse for all other models except OpenAI's.",
              )
              .optional(),
            prefill: flag<never>().describe("Whether this model continues a partial response. Default: the provider's.").optional(),
            weights: text()
              .describe(
                'Protocol local: the folder (transformers) or .gguf file (llama) of the weights, relative to the folder of the config.',
              )
              .optional(),
            hub: text()
              .describe('Protocol local: the name of the model in the hub, from which it is downloaded when it is first loaded.')
              .optional(),
            task: word(...LOCAL_TASKS)
              .describe(
                'Protocol local, transformers: the task of the model. Default: text-generation; summarization for the name `summarize`.',
              )
              .optional(),
            dtype: text()
              .describe('Protocol local, transformers: the precision of the weights, such as q8 or fp32. Default: q8.')
              .optional(),
            contextSize: count(16, 10_000_000)
              .describe(
                "Protocol local: the most tokens of prompt and response together. Default: the model's own size, for llama at most 4096.",
              )
              .optional(),
            maxTokens: count(1, 1_000_000)
              .describe('Protocol local: the output limit of requests without one, in tokens. Default: 512.')
              .optional(),
          })
          .describe('Settings of one model.'),
        {
          error: 'must be an object of model names',
        },
      )
      .describe('Settings of single models. Default: none.')
      .optional(),
    engine: word(...ENGINES)
      .describe('Protocol local: the engine of its models. extract needs no weights and no package, and only summarizes.')
      .optional(),
    warm: flag<never>()
      .describe('Protocol local: whether models are loaded at the start rather than on first use. Default: false.')
      .optional(),
    threads: count(1, 1024).describe('Protocol local: processor threads per model. Default: all but one.').optional(),
    maxHeap: size('32mb', '64gb')
      .describe(
        'Protocol local: the largest JavaScript heap of its thread, without the weights; beyond it the thread is terminated. Default: 1gb, for extract 256mb.',
      )
      .optional(),
    cacheDir: text()
      .describe('Protocol local: the folder for models from the hub, relative to the folder of the config. Default: ./models.')
      .optional(),
    prefill: flag<never>()
      .describe('Whether it continues a partial response in the last message. Default: that of the preset, else false.')
      .optional(),
    ...cloudKeys,
    ...policyKeys,
  })
  .meta({ id: 'Provider', description: 'Base URL, protocol, credentials and limits of one provider.' });

export type ProviderInput = z.output<typeof providerSchema>;
export type LimitsInput = z.output<typeof limitsSchema>;
