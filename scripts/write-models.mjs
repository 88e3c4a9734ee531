// npm run models -- FILE VERSION: writes data/models.json, the known models with prices, sizes, abilities and end-of-life
// dates. FILE is `model_prices_and_context_window_backup.json` of LiteLLM's Python package (MIT licence), a table of
// models of many providers.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** Preset name by provider name in the source, and the prefix of its model names there. */
const PROVIDERS = {
  openai: ['openai', ''],
  'text-completion-openai': ['openai', ''],
  anthropic: ['anthropic', ''],
  gemini: ['gemini', 'gemini/'],
  'vertex_ai-language-models': ['vertex', 'vertex_ai/'],
  'vertex_ai-anthropic_models': ['vertex', 'vertex_ai/'],
  azure: ['azure', 'azure/'],
  bedrock: ['bedrock', 'bedrock/'],
  bedrock_converse: ['bedrock', 'bedrock/'],
  groq: ['groq', 'groq/'],
  mistral: ['mistral', 'mistral/'],
  deepseek: ['deepseek', 'deepseek/'],
  together_ai: ['together', 'together_ai/'],
  fireworks_ai: ['fireworks', 'fireworks_ai/'],
  xai: ['xai', 'xai/'],
  cohere: ['cohere', 'cohere/'],
  cohere_chat: ['cohere', ''],
  cerebras: ['cerebras', 'cerebras/'],
  perplexity: ['perplexity', 'perplexity/'],
  deepinfra: ['deepinfra', 'deepinfra/'],
};

const MODES = new Set(['chat', 'responses', 'completion', 'embedding']);

/** A letter per ability; see `src/gateway/known-models.ts`. */
const ABILITIES = {
  t: 'supports_function_calling',
  i: 'supports_vision',
  s: 'supports_response_schema',
  r: 'supports_reasoning',
  p: 'supports_assistant_prefill',
  a: 'supports_adaptive_thinking',
};

/** Prompt sizes in tokens above which a price changes; those of `src/core/price.ts`. */
const SIZES = [32, 64, 100, 128, 200, 256, 272, 512];

/** Classes of service by the end of their names in the source. */
const TIERS = { batch: '_batches', flex: '_flex', priority: '_priority' };

const [file, version] = process.argv.slice(2);
if (file === undefined || version === undefined) {
  process.stderr.write('usage: npm run models -- FILE VERSION (the table, and the version of its package)\n');
  process.exit(1);
}

const table = {};
for (const [name, entry] of Object.entries(JSON.parse(readFileSync(file, 'utf8')))) {
  const [preset, prefix] = PROVIDERS[entry.litellm_provider] ?? [];
  if (preset === undefined || !MODES.has(entry.mode)) continue;
  (table[preset] ??= {})[name.startsWith(prefix) ? name.slice(prefix.length) : name] = compact(entry);
}

const day = new Date().toISOString().slice(0, 10);
const source = `LiteLLM ${version}, model_prices_and_context_window_backup.json, MIT licence, Copyright Berri AI`;
const lines = Object.entries(table).map(([preset, models]) => {
  const rows = Object.entries(models).map(([name, model]) => `  ${JSON.stringify(name)}:${JSON.stringify(model)}`);
  return `${JSON.stringify(preset)}:{\n${rows.join(',\n')}\n}`;
});
writeFileSync(join(root, 'data/models.json'), `{"day":"${day}","source":${JSON.stringify(source)},"models":{\n${lines.join(',\n')}\n}}\n`);

/** US dollars per million tokens, with at most six decimals. */
function perMillion(price) {
  return typeof price === 'number' ? Number((price * 1e6).toFixed(6)) : undefined;
}

/** The prices of one class of service (`tier`: the end of the names) for prompts above a size (`above`: another part of the names). */
function rates(entry, above, tier) {
  const price = (name) => perMillion(entry[`${name}${above}${tier}`]);
  return {
    in: price('input_cost_per_token'),
    out: price('output_cost_per_token'),
    cached: price('cache_read_input_token_cost'),
    written: price('cache_creation_input_token_cost'),
    written1h: perMillion(entry[`cache_creation_input_token_cost_above_1hr${above}${tier}`]),
    audioIn: above === '' ? price('input_cost_per_audio_token') : undefined,
    audioOut: above === '' ? price('output_cost_per_audio_token') : undefined,
    imageIn: above === '' ? price('input_cost_per_image_token') : undefined,
  };
}

function steps(entry, tier) {
  const found = {};
  for (const size of SIZES) {
    const step = rates(entry, `_above_${size}k_tokens`, tier);
    if (step.in !== undefined) found[size * 1000] = step;
  }
  return { ...rates(entry, '', tier), above: Object.keys(found).length === 0 ? undefined : found };
}

function compact(entry) {
  const tiers = {};
  for (const [name, suffix] of Object.entries(TIERS)) {
    const tier = steps(entry, suffix);
    if (tier.in !== undefined) tiers[name] = tier;
  }
  return {
    ...steps(entry, ''),
    tiers: Object.keys(tiers).length === 0 ? undefined : tiers,
    context: count(entry.max_input_tokens),
    most: count(entry.max_output_tokens),
    can:
      Object.keys(ABILITIES)
        .filter((letter) => entry[ABILITIES[letter]] === true)
        .join('') || undefined,
    ends: entry.deprecation_date,
    next: entry.successor_model,
    // Not available through chat completions.
    responses: isResponsesOnly(entry) ? 1 : undefined,
    unsampled: entry.supports_sampling_params === false ? 1 : undefined,
  };
}

function isResponsesOnly({ mode, supported_endpoints: endpoints = [] }) {
  return mode === 'responses' && endpoints.includes('/v1/responses') && !endpoints.includes('/v1/chat/completions');
}

function count(value) {
  return Number.isInteger(value) && value > 0 ? value : undefined;
}
