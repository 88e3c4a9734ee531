/** Converts one entry of LiteLLM's `model_list`. */
import { isPresetName, presets } from '../../gateway/config/presets.ts';
import { awsKeyOf, entraOf, googleOf } from './clouds.ts';
import { countOf, keyVariableOf, numberOf, recordOf, textOf, type Draft, type DraftTarget, type Fields } from './draft.ts';
import { isSelfHosted, knownAs, makerOf } from './litellm-providers.ts';
import { Settings } from './settings.ts';
import { bodyFields, headersFrom, readKey, readNumber, readText, variableIn } from './values.ts';

export interface Deployment {
  readonly target: DraftTarget;
  readonly order: number;
  readonly weight: number | null;
  readonly rpm: number | null;
  readonly tpm: number | null;
  /** `model_info.mode`: `embedding`, `audio_transcription`, …; null: chat. */
  readonly mode: string | null;
}

/** Request fields that a deployment sets. */
const REQUEST_FIELDS =
  'temperature top_p max_tokens max_completion_tokens reasoning_effort seed stop presence_penalty frequency_penalty n user response_format thinking service_tier top_k'.split(
    ' ',
  );

/** Null: it can't be carried over, and a note says why. */
export function readDeployment(draft: Draft, entry: Settings, where: string, credentials: ReadonlyMap<string, Fields>): Deployment | null {
  const written = recordOf(entry.get('litellm_params'));
  const credential = textOf(written['litellm_credential_name']);
  if (credential !== null && !credentials.has(credential))
    draft.note(where, `there is no credential named ${credential} in credential_list: set the key of its provider`);
  const params = new Settings({ ...credentials.get(credential ?? ''), ...written });
  params.ignore(['litellm_credential_name', 'drop_params']);
  const named = textOf(params.get('model'));
  if (named === null) {
    draft.note(where, 'left out: litellm_params has no model');
    return null;
  }
  const [prefix, model] = prefixOf(named, textOf(params.get('custom_llm_provider')));
  if (named === '*') {
    draft.note(
      where,
      'left out: a model of a configured provider is served by its name, with and without PROVIDER/; add the providers you use',
    );
    return null;
  }
  const provider = providerOf(draft, prefix, params, where);
  if (provider === null) return null;
  const info = recordOf(entry.get('model_info'));
  const id = `${provider}/${modelOf(prefix, model)}`;
  const amounts = amountsOf(draft, params, entry);
  addLimits(draft, provider, modelOf(prefix, model), amounts, where);
  addPrice(draft, id, params, info);
  const number = (name: string): number | null =>
    readNumber(params, name, (reason) => draft.note(where, `not carried over: ${name}, ${reason}`));
  const deployment: Deployment = {
    target: {
      target: id,
      set: setOf(draft, params, where),
      drop: dropOf(draft, params, where),
      timeouts: { attemptMs: millisecondsOf(number('timeout')), firstContentMs: millisecondsOf(number('stream_timeout')) },
    },
    order: number('order') ?? 1,
    weight: number('weight'),
    rpm: countOf(amounts.requestsPerMinute),
    tpm: countOf(amounts.tokensPerMinute),
    mode: textOf(info['mode']),
  };
  noteRest(draft, params, where);
  noteRest(draft, entry, where);
  if (Array.isArray(info['access_groups']))
    draft.note(where, 'not carried over: access_groups; list the models of each client under clients[].models');
  return deployment;
}

/** `azure/my-deployment`; without a prefix, the provider follows from the name. */
function prefixOf(name: string, custom: string | null): [prefix: string, model: string] {
  if (custom !== null) return [custom, name.startsWith(`${custom}/`) ? name.slice(custom.length + 1) : name];
  const at = name.indexOf('/');
  if (at > 0 && (knownAs(name.slice(0, at)) !== null || makerOf(name) === null)) return [name.slice(0, at), name.slice(at + 1)];
  return [makerOf(name) ?? 'openai', name];
}

/** The name of the model at its provider. */
function modelOf(prefix: string, model: string): string {
  if (prefix === 'bedrock')
    return model.replace(/^(?:converse_like|converse|invoke|nova|llama|deepseek_r1)\//, '').replace(/^[a-z]{2}(?:-gov)?-[a-z]+-\d\//, '');
  if (prefix === 'azure') return model.replace(/^(?:responses|o_series|gpt5_series)\//, '');
  if (prefix === 'openai') return model.replace(/^responses\//, '');
  return prefix === 'vertex_ai' ? model.replace(/^(?:gemini|openai)\//, '') : model;
}

/** The name of its provider in the draft; null: its protocol is unknown. */
function providerOf(draft: Draft, prefix: string, params: Settings, where: string): string | null {
  const known = knownAs(prefix);
  const baseUrl = baseUrlOf(draft, prefix, params);
  if (known === null && baseUrl === null) {
    draft.note(
      where,
      `left out: Breakwater does not know the provider ${prefix}; if it speaks OpenAI's protocol, add it with protocol: openai and its baseUrl`,
    );
    return null;
  }
  const preset = known?.name ?? prefix;
  if (known === null) draft.note(where, `${prefix} is assumed to speak OpenAI's protocol at its api_base`);
  const address = baseUrl ?? known?.baseUrl ?? null;
  const name = isPresetName(preset) ? preset : preset.replaceAll(/[^\w.-]+/g, '-');
  const headers = headersFrom(draft, params.pick(['headers', 'extra_headers', 'organization']), name);
  const key = readKey(draft, params.get('api_key') ?? params.get('azure_ad_token'), keyVariableOf(preset), `the key of ${where}`);
  const cloud = cloudOf(draft, preset, params, key !== null);
  const hasIdentity = 'aws' in cloud || 'google' in cloud || 'entra' in cloud;
  const needsKey = isPresetName(preset) ? presets[preset].needsKey : known !== null;
  const settings: Fields = {
    ...(isPresetName(preset) ? {} : { protocol: 'openai' }),
    ...(address === null ? {} : { baseUrl: address }),
    ...(key === null ? {} : { apiKey: key }),
    ...(key === null && !hasIdentity ? missingKeyOf(draft, preset, { needsKey, address, where }) : {}),
    ...cloud,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  };
  return draft.provider({ name, settings });
}

function baseUrlOf(draft: Draft, prefix: string, params: Settings): string | null {
  const text = readText(draft, params.get('api_base') ?? params.get('base_url'), `the base URL of ${prefix}`);
  if (text === null) return null;
  const trimmed = text.replace(/\/+$/, '');
  // Other than LiteLLM's, a base URL here is that of the OpenAI-compatible API.
  if (isSelfHosted(prefix) && prefix.startsWith('ollama') && !/\/v\d+$/.test(trimmed)) return `${trimmed}/v1`;
  return trimmed.replace(/\/(?:chat\/completions|v1\/messages)$/, '');
}

interface MissingKey {
  readonly needsKey: boolean;
  readonly address: string | null;
  readonly where: string;
}

function missingKeyOf(draft: Draft, preset: string, { needsKey, address, where }: MissingKey): Fields {
  if (preset === 'vertex') draft.note(where, `set GOOGLE_APPLICATION_CREDENTIALS, or google.metadata: true on a machine of Google's`);
  if (preset === 'bedrock')
    draft.note(where, 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or AWS_BEARER_TOKEN_BEDROCK');
  if (!needsKey || preset === 'bedrock') return {};
  // With a base URL of its own, a provider gets no key from the environment unless the config says so.
  const variable = draft.variable(keyVariableOf(preset), address === null ? `the key of ${preset}` : `the key of ${where}`);
  return address === null ? {} : { apiKey: variable };
}

/** With a key, a cloud needs no other identity. */
function cloudOf(draft: Draft, preset: string, params: Settings, hasKey: boolean): Fields {
  const text = (holds: string, ...names: readonly string[]): string | null =>
    names.reduce<string | null>((found, name) => found ?? readText(draft, params.get(name), holds), null);
  if (preset === 'azure') {
    const apiVersion = text("Azure's API version", 'api_version');
    const version = apiVersion === null ? {} : { apiVersion };
    if (hasKey) return version;
    const [tenant, client, secret] = ['tenant_id', 'client_id', 'client_secret'].map((name) => params.get(name));
    return { ...version, ...entraOf(draft, tenant, client, secret) };
  }
  if (preset === 'bedrock') {
    const region = text('the AWS region', 'aws_region_name', 'region_name') ?? draft.variable('AWS_REGION', 'the AWS region');
    if (hasKey) return { region };
    const [id, secret, token] = ['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token'].map((name) => params.get(name));
    const key = awsKeyOf(draft, id, secret, token);
    const profile = 'aws' in key ? null : text('the AWS profile', 'aws_profile_name');
    return { region, ...(profile === null ? key : { aws: { profile } }) };
  }
  if (preset !== 'vertex') return {};
  const project = text("Vertex's project", 'vertex_project', 'vertex_ai_project');
  const location = text("Vertex's location", 'vertex_location', 'vertex_ai_location', 'region_name');
  const google = hasKey ? {} : googleOf(draft, params.get('vertex_credentials') ?? params.get('vertex_ai_credentials'));
  return { ...(project === null ? {} : { project }), ...(location === null ? {} : { location }), ...google };
}

/** Limits of a model; a text is a reference to a variable. */
interface Amounts {
  readonly requestsPerMinute?: number | string;
  readonly tokensPerMinute?: number | string;
  readonly concurrency?: number | string;
}

function amountsOf(draft: Draft, params: Settings, entry: Settings): Amounts {
  const amount = (name: string, ...sources: readonly Settings[]): number | string | null => {
    const value = sources.reduce<unknown>((found, source) => found ?? source.get(name), null);
    const variable = variableIn(value);
    return variable === null ? countOf(value) : draft.variable(variable, name);
  };
  const [rpm, tpm] = [amount('rpm', params, entry), amount('tpm', params, entry)];
  const parallel = amount('max_parallel_requests', params);
  return {
    ...(rpm === null ? {} : { requestsPerMinute: rpm }),
    ...(tpm === null ? {} : { tokensPerMinute: tpm }),
    ...(parallel === null ? {} : { concurrency: parallel }),
  };
}

function addLimits(draft: Draft, provider: string, model: string, limits: Amounts, where: string): void {
  if (Object.keys(limits).length === 0) return;
  if (model.includes('*'))
    return draft.note(where, 'rpm, tpm and max_parallel_requests of a wildcard are not carried over: set limits on the provider');
  if (!draft.limit(provider, model, { ...limits }))
    draft.note(where, `its limits are not carried over: ${provider}/${model} has others already`);
}

/** US dollars per million tokens. */
function addPrice(draft: Draft, target: string, params: Settings, info: Fields): void {
  const perToken = (name: string): number | null => numberOf(params.get(name) ?? info[name]);
  const [input, output] = [perToken('input_cost_per_token'), perToken('output_cost_per_token')];
  if (input === null || target.includes('*')) return;
  const million = (price: number): number => Number((price * 1e6).toPrecision(10));
  const prices = recordOf(draft.sections['prices']);
  draft.sections['prices'] = { ...prices, [target]: { input: million(input), ...(output === null ? {} : { output: million(output) }) } };
}

function setOf(draft: Draft, params: Settings, where: string): Fields {
  const all = { ...params.pick(REQUEST_FIELDS), ...recordOf(params.get('extra_body')) };
  if (Object.keys(all).length > 0)
    draft.note(
      where,
      `${Object.keys(all).join(', ')}: set replaces the caller's value, where LiteLLM's is a default that the caller can override`,
    );
  return bodyFields(draft, all, where);
}

/** Only fields at the top level of a request can be dropped. */
function dropOf(draft: Draft, params: Settings, where: string): string[] {
  const given = params.get('additional_drop_params');
  const names = Array.isArray(given) ? given.map(String) : [];
  const inner = names.filter((name) => name.includes('[') || name.includes('.'));
  if (inner.length > 0)
    draft.note(where, `not carried over: ${inner.join(', ')} of additional_drop_params: only top-level fields can be dropped`);
  return names.filter((name) => !inner.includes(name));
}

/** A setting that is false has no effect. */
function noteRest(draft: Draft, settings: Settings, where: string): void {
  const rest = settings.unread().flatMap(([name, value]) => (value === false ? [] : [name]));
  if (rest.length > 0) draft.note(where, `not carried over: ${rest.join(', ')}`);
}

function millisecondsOf(seconds: number | null): number | null {
  return seconds === null || seconds <= 0 ? null : Math.max(1, Math.round(seconds * 1000));
}
