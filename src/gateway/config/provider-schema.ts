/** The input schema of `providers`. `build-provider.ts` adds what presets and the environment provide. */
import * as z from 'zod';
import { ENGINES, LOCAL_TASKS } from '../../local/engine.ts';
import { cloudKeys } from './cloud-schema.ts';
import { amount, count, flag, headerRecord, ratio, size, text, word } from './fields.ts';
import { policySettings } from './policy-schema.ts';

export const protocols = ['openai', 'anthropic', 'gemini', 'local'] as const;

const perSpan = (span: string, example: number) =>
  count(1, 1e12).meta({ description: `The most ${span}. Default: unlimited, except for learned limits.`, examples: [example] });

export const limitsSchema = z
  .strictObject({
    requestsPerSecond: amount(0.001, 1e9)
      .meta({ description: 'The most requests per second. Default: unlimited, except for learned limits.', examples: [10] })
      .optional(),
    requestsPerMinute: perSpan('requests per minute', 600).optional(),
    requestsPerDay: perSpan('requests per day', 10_000).optional(),
    tokensPerMinute: perSpan('tokens per minute, input and output', 200_000).optional(),
    tokensPerDay: perSpan('tokens per day, input and output', 5_000_000).optional(),
    inputTokensPerMinute: perSpan('input tokens per minute', 400_000).optional(),
    outputTokensPerMinute: perSpan('output tokens per minute', 80_000).optional(),
    concurrency: count(1, 1_000_000)
      .meta({ description: 'The most concurrent requests. Default: unlimited, except for learned limits.', examples: [64] })
      .optional(),
    burst: ratio(0.0001, 1, "must be above 0 and at most 1: the share of a window's limit that may be used at once")
      .meta({
        description: "The share of a window's limit that may be used at once, above 0 and at most 1. Default: that of the preset, else 1.",
        examples: [0.1],
      })
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
    preset: text()
      .meta({
        description:
          'The preset whose base URL, protocol and other settings are used. Default: the name of the provider, if a preset has that name.',
        examples: ['groq'],
      })
      .optional(),
    protocol: word(...protocols)
      .describe('The wire protocol. Default: that of the preset, else openai.')
      .optional(),
    baseUrl: z
      .string({ error: 'must be a URL' })
      .meta({
        description: "The base URL as in the provider's SDK: with /v1 for OpenAI. Default: that of the preset.",
        examples: ['https://llm.example.com/v1'],
      })
      .optional(),
    apiKey: z
      .string({ error: 'must be a string' })
      .meta({
        description: "The API key; `caller` forwards the caller's own. Default: the preset's environment variable, if baseUrl is not set.",
        examples: ['${OPENAI_API_KEY}'],
      })
      .optional(),
    apiKeys: z
      .array(apiKey, { error: 'must be a list of keys' })
      .min(1, { error: 'must have at least one key' })
      .max(1000, { error: 'must have at most 1000 keys' })
      .meta({
        description: 'Several API keys instead of one; requests are distributed over them, and limits apply to each. Default: none.',
        examples: [['${KEY_A}', '${KEY_B}']],
      })
      .optional(),
    headers: headerRecord()
      .meta({ description: 'Headers added to every request to this provider. Default: none.', examples: [{ 'x-team': 'search' }] })
      .optional(),
    forwardHeaders: z
      .array(text(), { error: 'must be a list of header names' })
      .max(50, { error: 'must have at most 50 names' })
      .meta({
        description:
          "Names of callers' request headers to forward to this provider, in addition to those for its prompt cache. Default: those of the preset.",
        examples: [['x-tenant']],
      })
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
              .meta({
                description:
                  'Protocol local: the folder (transformers) or .gguf file (llama) of the weights, relative to the folder of the config. Default: none.',
                examples: ['./models/qwen.gguf'],
              })
              .optional(),
            hub: text()
              .meta({
                description:
                  'Protocol local: the name of the model in the Hugging Face hub, from which it is downloaded when it is first loaded. Default: none.',
                examples: ['onnx-community/Qwen3-0.6B-ONNX'],
              })
              .optional(),
            task: word(...LOCAL_TASKS)
              .describe(
                'Protocol local, transformers: the task of the model. Default: text-generation; summarization for the name `summarize`.',
              )
              .optional(),
            dtype: text()
              .meta({
                description: 'Protocol local, transformers: the precision of the weights, such as q8 or fp32. Default: q8.',
                examples: ['fp32'],
              })
              .optional(),
            contextSize: count(16, 10_000_000)
              .meta({
                description:
                  "Protocol local: the most tokens of prompt and response together. Default: the model's own size, for llama at most 4096.",
                examples: [8192],
              })
              .optional(),
            maxTokens: count(1, 1_000_000)
              .meta({ description: 'Protocol local: the output limit of requests without one, in tokens. Default: 512.', examples: [1024] })
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
      .describe(
        'Protocol local: the engine of its models; required. extract needs no weights and no package, and only summarizes. Default: none.',
      )
      .optional(),
    warm: flag<never>()
      .describe('Protocol local: whether models are loaded at the start rather than on first use. Default: false.')
      .optional(),
    threads: count(1, 1024)
      .meta({ description: 'Protocol local: processor threads per model. Default: all but one.', examples: [4] })
      .optional(),
    maxHeap: size('32mb', '64gb')
      .meta({
        description:
          'Protocol local: the largest JavaScript heap of its thread, without the weights; beyond it the thread is terminated. Default: 1gb, for extract 256mb.',
        examples: ['2gb'],
      })
      .optional(),
    cacheDir: text()
      .meta({
        description: 'Protocol local: the folder for models from the hub, relative to the folder of the config. Default: ./models.',
        examples: ['/var/cache/models'],
      })
      .optional(),
    prefill: flag<never>()
      .describe('Whether it continues a partial response in the last message. Default: that of the preset, else false.')
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
