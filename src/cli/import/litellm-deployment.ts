/** Converts one entry of LiteLLM's `model_list`. */
import { isRecord } from '../../core/json.ts';
import { isPresetName, presets } from '../../gateway/config/presets.ts';
import { countOf, keyVariableOf, numberOf, recordOf, textOf, type Draft, type DraftTarget, type Fields } from './draft.ts';
import { isSelfHosted, knownAs, makerOf } from './litellm-providers.ts';
import { bodyFields, headersFrom, readKey, readText } from './values.ts';

export interface Deployment {
  readonly target: DraftTarget;
  readonly order: number;
  readonly weight: number | null;
  readonly rpm: number | null;
  readonly tpm: number | null;
  readonly timeoutMs: number | null;
  readonly streamTimeoutMs: number | null;
  /** `model_info.mode`: `embedding`, `audio_transcription`, …; null: chat. */
  readonly mode: string | null;
}

/** Request fields that a deployment sets. */
const REQUEST_FIELDS = new Set(
  'temperature top_p max_tokens max_completion_tokens reasoning_effort seed stop presence_penalty frequency_penalty n user response_format thinking service_tier top_k'.split(
    ' ',
  ),
);
/** Handled here, or without meaning in Breakwater. */
const HANDLED = new Set(
  [
    'model api_key api_base base_url api_version rpm tpm weight order max_parallel_requests timeout stream_timeout extra_headers headers organization',
    'drop_params additional_drop_params custom_llm_provider litellm_credential_name input_cost_per_token output_cost_per_token',
    'aws_region_name aws_access_key_id aws_secret_access_key aws_session_token aws_profile_name',
    'vertex_project vertex_ai_project vertex_location vertex_ai_location vertex_credentials vertex_ai_credentials',
    'azure_ad_token tenant_id client_id client_secret use_in_pass_through',
  ]
    .join(' ')
    .split(' '),
);

/** Null: it can't be carried over, and a note says why. */
export function readDeployment(draft: Draft, entry: Fields, where: string, credentials: ReadonlyMap<string, Fields>): Deployment | null {
  const written = recordOf(entry['litellm_params']);
  const credential = textOf(written['litellm_credential_name']);
  const params: Fields = { ...(credential === null ? {} : credentials.get(credential)), ...written };
  if (credential !== null && !credentials.has(credential))
    draft.note(where, `litellm_credential_name: ${credential} is not in credential_list`);
  const named = textOf(params['model']);
  if (named === null) {
    draft.note(where, 'left out: litellm_params has no model');
    return null;
  }
  const [prefix, model] = prefixOf(named, textOf(params['custom_llm_provider']));
  if (named === '*') {
    draft.note(
      where,
      'left out: a model of a configured provider is served by its name, with and without PROVIDER/; add the providers you use',
    );
    return null;
  }
  const provider = providerOf(draft, prefix, params, where);
  if (provider === null) return null;
  const info = recordOf(entry['model_info']);
  const id = `${provider}/${modelOf(prefix, model)}`;
  const [rpm, tpm] = [countOf(params['rpm'] ?? entry['rpm']), countOf(params['tpm'] ?? entry['tpm'])];
  addLimits(draft, provider, modelOf(prefix, model), { rpm, tpm, parallel: countOf(params['max_parallel_requests']) }, where);
  addPrice(draft, id, params, info);
  noteRest(draft, params, where);
  if (Array.isArray(info['access_groups']))
    draft.note(where, 'not carried over: access_groups; list the models of each client under clients[].models');
  return {
    target: { target: id, set: setOf(draft, params, where), drop: dropOf(draft, params, where) },
    order: numberOf(params['order']) ?? 1,
    weight: positiveOrZero(numberOf(params['weight'])),
    rpm,
    tpm,
    timeoutMs: millisecondsOf(params['timeout']),
    streamTimeoutMs: millisecondsOf(params['stream_timeout']),
    mode: textOf(info['mode']),
  };
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
function providerOf(draft: Draft, prefix: string, params: Fields, where: string): string | null {
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
  const headers = headersFrom(draft, params, name);
  const settings: Fields = {
    ...(isPresetName(preset) ? {} : { protocol: 'openai' }),
    ...(address === null ? {} : { baseUrl: address }),
    ...credentialOf(draft, preset, params, address !== null, where),
    ...cloudOf(draft, preset, params, where),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  };
  return draft.provider({ name, settings });
}

function baseUrlOf(draft: Draft, prefix: string, params: Fields): string | null {
  const text = readText(draft, params['api_base'] ?? params['base_url'], `the base URL of ${prefix}`);
  if (text === null) return null;
  const trimmed = text.replace(/\/+$/, '');
  // Other than LiteLLM's, a base URL here is that of the OpenAI-compatible API.
  if (isSelfHosted(prefix) && prefix.startsWith('ollama') && !/\/v\d+$/.test(trimmed)) return `${trimmed}/v1`;
  return trimmed.replace(/\/(?:chat\/completions|v1\/messages)$/, '');
}

function credentialOf(draft: Draft, preset: string, params: Fields, hasAddress: boolean, where: string): Fields {
  if (preset === 'bedrock' || preset === 'vertex') {
    const key = readKey(draft, params['api_key'], keyVariableOf(preset), `the key of ${where}`);
    return key === null ? {} : { apiKey: key };
  }
  const value = params['api_key'] ?? params['azure_ad_token'];
  const key = readKey(draft, value, keyVariableOf(preset), `the key of ${where}`);
  if (key !== null) return { apiKey: key };
  const needsKey = isPresetName(preset) ? presets[preset].needsKey : !hasAddress;
  // With a base URL of its own, a provider gets no key from the environment unless the config says so.
  return needsKey && hasAddress
    ? { apiKey: draft.variable(keyVariableOf(preset), `the key of ${where}`) }
    : variableNote(draft, preset, needsKey);
}

/** Without a base URL, the preset reads its variable itself. */
function variableNote(draft: Draft, preset: string, needsKey: boolean): Fields {
  if (needsKey) draft.variable(keyVariableOf(preset), `the key of ${preset}`);
  return {};
}

function cloudOf(draft: Draft, preset: string, params: Fields, where: string): Fields {
  const text = (name: string, holds: string): string | null => readText(draft, params[name], holds);
  if (preset === 'azure') {
    const apiVersion = text('api_version', "Azure's API version");
    const [tenantId, clientId] = [text('tenant_id', 'the Entra tenant'), text('client_id', 'the Entra application')];
    const clientSecret = readKey(draft, params['client_secret'], 'AZURE_CLIENT_SECRET', 'the secret of the Entra application');
    const entra = tenantId !== null && clientId !== null && clientSecret !== null ? { entra: { tenantId, clientId, clientSecret } } : {};
    return { ...(apiVersion === null ? {} : { apiVersion }), ...entra };
  }
  if (preset === 'bedrock') {
    const region = text('aws_region_name', 'the AWS region') ?? draft.variable('AWS_REGION', 'the AWS region');
    const profile = text('aws_profile_name', 'the AWS profile');
    const accessKeyId = readKey(draft, params['aws_access_key_id'], 'AWS_ACCESS_KEY_ID', 'the ID of the AWS access key');
    const secretAccessKey = readKey(draft, params['aws_secret_access_key'], 'AWS_SECRET_ACCESS_KEY', 'the secret of the AWS access key');
    const sessionToken = readKey(draft, params['aws_session_token'], 'AWS_SESSION_TOKEN', 'the AWS session token');
    if (accessKeyId !== null && secretAccessKey !== null)
      return { region, aws: { accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }) } };
    if (profile === null && textOf(params['api_key']) === null)
      draft.note(where, 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or AWS_BEARER_TOKEN_BEDROCK');
    return { region, ...(profile === null ? {} : { aws: { profile } }) };
  }
  if (preset !== 'vertex') return {};
  const project = text('vertex_project', "Vertex's project") ?? text('vertex_ai_project', "Vertex's project");
  const location = text('vertex_location', "Vertex's location") ?? text('vertex_ai_location', "Vertex's location");
  const given = params['vertex_credentials'] ?? params['vertex_ai_credentials'];
  if (textOf(given) === null && !isRecord(given) && textOf(params['api_key']) === null)
    draft.note(where, `set GOOGLE_APPLICATION_CREDENTIALS, or google.metadata: true on a machine of Google's`);
  return { ...(project === null ? {} : { project }), ...(location === null ? {} : { location }), ...googleOf(draft, given) };
}

/** A path, or the key itself as JSON. */
function googleOf(draft: Draft, given: unknown): Fields {
  if (isRecord(given) || (typeof given === 'string' && given.trim().startsWith('{'))) {
    const text = typeof given === 'string' ? given : JSON.stringify(given);
    return { google: { key: draft.secret(text, 'VERTEX_CREDENTIALS', 'the JSON key of the Google service account') } };
  }
  const path = readText(draft, given, 'the path of the JSON key of the Google service account');
  return path === null ? {} : { google: { keyFile: path } };
}

interface Amounts {
  readonly rpm: number | null;
  readonly tpm: number | null;
  readonly parallel: number | null;
}

function addLimits(draft: Draft, provider: string, model: string, { rpm, tpm, parallel }: Amounts, where: string): void {
  const limits = {
    ...(rpm === null ? {} : { requestsPerMinute: rpm }),
    ...(tpm === null ? {} : { tokensPerMinute: tpm }),
    ...(parallel === null ? {} : { concurrency: parallel }),
  };
  if (Object.keys(limits).length === 0) return;
  if (model.includes('*'))
    return draft.note(where, 'rpm, tpm and max_parallel_requests of a wildcard are not carried over: set limits on the provider');
  if (!draft.limit(provider, model, limits)) draft.note(where, `its limits are not carried over: ${provider}/${model} has others already`);
}

/** US dollars per million tokens. */
function addPrice(draft: Draft, target: string, params: Fields, info: Fields): void {
  const perToken = (name: string): number | null => numberOf(params[name] ?? info[name]);
  const [input, output] = [perToken('input_cost_per_token'), perToken('output_cost_per_token')];
  if (input === null || target.includes('*')) return;
  const million = (price: number): number => Number((price * 1e6).toPrecision(10));
  const prices = recordOf(draft.sections['prices']);
  draft.sections['prices'] = { ...prices, [target]: { input: million(input), ...(output === null ? {} : { output: million(output) }) } };
}

function setOf(draft: Draft, params: Fields, where: string): Fields {
  const set = Object.fromEntries(Object.entries(params).filter(([name, value]) => REQUEST_FIELDS.has(name) && value !== null));
  const extra = recordOf(params['extra_body']);
  const all = { ...set, ...extra };
  if (Object.keys(all).length > 0)
    draft.note(
      where,
      `${Object.keys(all).join(', ')}: set replaces the caller's value, where LiteLLM's is a default that the caller can override`,
    );
  return bodyFields(draft, all, where);
}

function dropOf(draft: Draft, params: Fields, where: string): string[] {
  const given = params['additional_drop_params'];
  const names = Array.isArray(given) ? given.map(String) : [];
  const nested = names.filter((name) => name.includes('[') || name.includes('.'));
  if (nested.length > 0) draft.note(where, `additional_drop_params: ${nested.join(', ')} not carried over: drop removes whole fields only`);
  return names.filter((name) => !nested.includes(name));
}

function noteRest(draft: Draft, params: Fields, where: string): void {
  const rest = Object.keys(params).filter((name) => !HANDLED.has(name) && !REQUEST_FIELDS.has(name) && name !== 'extra_body');
  if (rest.length > 0) draft.note(where, `not carried over: ${rest.join(', ')}`);
}

function positiveOrZero(value: number | null): number | null {
  return value !== null && value >= 0 ? value : null;
}

function positive(value: number | null): number | null {
  return value !== null && value > 0 ? value : null;
}

function millisecondsOf(seconds: unknown): number | null {
  const number = positive(numberOf(seconds));
  return number === null ? null : Math.max(1, Math.round(number * 1000));
}
