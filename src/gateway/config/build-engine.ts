/** Builds the engine settings of a provider whose models run on this machine. */
import { resolve } from 'node:path';
import { record } from './record.ts';
import type { EngineConfig, LocalModelConfig } from './config.ts';
import type { FaultList, Path } from './faults.ts';
import type { PresetName } from './presets.ts';
import type { ProviderInput } from './provider-schema.ts';

interface Context {
  readonly directory: string;
  readonly path: Path;
  readonly faults: FaultList;
}

type ModelInput = NonNullable<ProviderInput['models']>[string];

const onlyLocal = ['engine', 'warm', 'threads', 'maxHeap', 'cacheDir'] as const;
const onlyLocalModel = ['weights', 'hub', 'task', 'dtype', 'contextSize', 'maxTokens'] as const;
const notLocal = ['baseUrl', 'apiKey', 'apiKeys', 'headers'] as const;

const maxHeapDefault = 1024 ** 3;
/** Its input is bounded, but V8 uses the whole limit before it collects garbage. */
const extractHeapDefault = 256 * 1024 ** 2;
const maxTokensDefault = 512;
/** The only model of engine `extract`. */
const extractModel = 'extract';
/** The default summarizer, used if it is already downloaded. */
const summarizer = { name: 'summarize', hub: 'Xenova/distilbart-cnn-6-6' };

/** Null: the models are remote. */
export function buildEngine(input: ProviderInput, preset: PresetName | null, isLocal: boolean, context: Context): EngineConfig | null {
  const { path, faults, directory } = context;
  if (!isLocal) {
    refuse(input, onlyLocal, path, faults, 'is for protocol local only');
    for (const [name, model] of Object.entries(input.models ?? {})) {
      refuse(model, onlyLocalModel, [...path, 'models', name], faults, 'is for protocol local only');
    }
    return null;
  }
  refuse(input, notLocal, path, faults, 'has no effect with protocol local, which sends no requests');
  const name = input.engine ?? (preset === 'local' ? 'extract' : undefined);
  if (name === undefined) faults.add([...path, 'engine'], 'is missing; set transformers, llama or extract');
  const models = record(Object.entries(input.models ?? {}), (model, key) => buildModel(key, model, name ?? 'extract', context));
  if (name === 'extract') models[extractModel] ??= model({});
  if (name === 'transformers') {
    models[summarizer.name] ??= model({ task: 'summarization', hub: summarizer.hub });
  }
  return {
    name: name ?? 'extract',
    warm: input.warm ?? false,
    threads: input.threads ?? null,
    maxHeap: input.maxHeap ?? (name === 'extract' ? extractHeapDefault : maxHeapDefault),
    cacheDir: resolve(directory, input.cacheDir ?? 'models'),
    directory,
    models,
  };
}

function model(parts: Partial<LocalModelConfig>): LocalModelConfig {
  return {
    task: 'text-generation',
    weights: null,
    hub: null,
    mayDownload: false,
    dtype: null,
    contextSize: null,
    maxTokens: maxTokensDefault,
    ...parts,
  };
}

function buildModel(name: string, input: ModelInput, engine: EngineConfig['name'], { directory, path, faults }: Context): LocalModelConfig {
  const at = [...path, 'models', name];
  if (engine === 'extract') {
    refuse(input, onlyLocalModel, at, faults, 'has no effect with engine extract, which has no weights');
    if (name !== extractModel) faults.add(at, `is not a model of engine extract; its only model is ${extractModel}`);
    return model({});
  }
  if (input.weights !== undefined && input.hub !== undefined) faults.add([...at, 'hub'], 'must not be combined with weights');
  if (engine === 'llama') refuse(input, ['task', 'dtype'], at, faults, 'is for engine transformers only');
  if (engine === 'llama' && input.weights === undefined && input.hub === undefined)
    faults.add([...at, 'weights'], 'is missing; set the path of a .gguf file, or hub');
  const isSummarizer = engine === 'transformers' && name === summarizer.name;
  const hub = input.hub ?? (isSummarizer && input.weights === undefined ? summarizer.hub : null);
  if (engine === 'transformers' && input.weights === undefined && hub === null)
    faults.add([...at, 'weights'], 'is missing; set the folder of the model, or hub');
  return model({
    task: input.task ?? (isSummarizer ? 'summarization' : 'text-generation'),
    weights: input.weights === undefined ? null : resolve(directory, input.weights),
    hub,
    mayDownload: input.hub !== undefined,
    dtype: input.dtype ?? null,
    contextSize: input.contextSize ?? null,
    ...(input.maxTokens !== undefined && { maxTokens: input.maxTokens }),
  });
}

function refuse<T extends object>(input: T, keys: readonly (keyof T & string)[], path: Path, faults: FaultList, what: string): void {
  for (const key of keys) if (input[key] !== undefined) faults.add([...path, key], what);
}
