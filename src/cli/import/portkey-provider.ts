/** Converts the provider of one target of a Portkey config. */
import { isPresetName, presets } from '../../gateway/config/presets.ts';
import { forwardingFault } from '../../wire/forwarded-headers.ts';
import { awsKeyOf, entraOf, googleOf } from './clouds.ts';
import { keyVariableOf, textOf, type Draft, type DraftProvider, type Fields } from './draft.ts';
import type { Settings } from './settings.ts';
import { headersFrom, literal, readKey, readText } from './values.ts';

/** Portkey's provider names that differ from the presets. */
const PRESETS: Readonly<Record<string, string>> = {
  'azure-openai': 'azure',
  'azure-ai': 'azure',
  google: 'gemini',
  'vertex-ai': 'vertex',
  'mistral-ai': 'mistral',
  'together-ai': 'together',
  'fireworks-ai': 'fireworks',
  'x-ai': 'xai',
  'perplexity-ai': 'perplexity',
};

/** Settings of OpenAI that are sent as headers. */
const OPENAI_HEADERS: Readonly<Record<string, string>> = {
  openai_organization: 'OpenAI-Organization',
  openai_project: 'OpenAI-Project',
  openai_beta: 'OpenAI-Beta',
};

/** `slug`: of the model name, `@slug/model`. */
export function providerOf(draft: Draft, node: Settings, slug: string | null, where: string): DraftProvider {
  const named = textOf(node.get('provider'));
  const stored = slug ?? textOf(node.get('virtual_key')) ?? (named?.startsWith('@') === true ? named.slice(1) : null);
  const explicit = named !== null && !named.startsWith('@') ? named : null;
  const preset = presetOf(explicit ?? guessed(stored) ?? 'openai');
  if (explicit === null) {
    const why = stored === null ? 'no provider is named' : `${stored} is stored at Portkey`;
    draft.note(where, `${why}, and its provider is assumed to be ${preset}`);
  }
  const cloud = cloudOf(draft, node, preset, where);
  const headers = headersOf(draft, node, preset);
  const forwardHeaders = forwardedOf(draft, node, where);
  return {
    name: preset,
    settings: {
      ...addressOf(draft, node, preset, where),
      ...('aws' in cloud || 'google' in cloud || 'entra' in cloud ? {} : keyOf(draft, node, preset, stored, where)),
      ...cloud,
      ...(Object.keys(headers).length === 0 ? {} : { headers }),
      ...(forwardHeaders.length === 0 ? {} : { forwardHeaders }),
    },
  };
}

function presetOf(name: string): string {
  const preset = PRESETS[name] ?? name;
  return preset === 'local' ? 'local-provider' : preset.replaceAll(/[^\w.-]+/g, '-');
}

/** `openai-prod-1a2b`: a stored key is usually named after its provider. */
function guessed(slug: string | null): string | null {
  if (slug === null) return null;
  const names = [...Object.keys(PRESETS), ...Object.keys(presets).filter((name) => name !== 'local')];
  const found = names.filter((name) => slug === name || slug.startsWith(`${name}-`) || slug.startsWith(`${name}_`));
  return found.toSorted((a, b) => b.length - a.length)[0] ?? null;
}

function addressOf(draft: Draft, node: Settings, preset: string, where: string): Fields {
  const host = readText(draft, node.get('custom_host'), `the base URL of ${where}`);
  const baseUrl = host ?? (preset === 'azure' ? azureAddress(draft, node) : null);
  if (isPresetName(preset)) return baseUrl === null ? {} : { baseUrl };
  if (baseUrl === null) draft.note(where, `Breakwater does not know the provider ${preset}: set its baseUrl`);
  const variable = `${preset.toUpperCase().replaceAll(/\W+/g, '_')}_BASE_URL`;
  return { protocol: 'openai', baseUrl: baseUrl ?? draft.variable(variable, `the base URL of ${preset}`) };
}

function azureAddress(draft: Draft, node: Settings): string {
  const foundry = readText(draft, node.get('azure_foundry_url'), 'the address of the Foundry resource');
  if (foundry !== null) return foundry;
  const resource = eitherOf(node, 'azure_resource_name', 'resource_name');
  if (resource !== null) return `https://${literal(resource)}.openai.azure.com`;
  return draft.variable('AZURE_OPENAI_ENDPOINT', 'the address of the Azure resource');
}

/** The name of an Azure deployment. */
export function deploymentOf(node: Settings): string | null {
  return eitherOf(node, 'azure_deployment_id', 'deployment_id') ?? textOf(node.get('azure_deployment_name'));
}

/** Portkey has Azure's settings with and without a prefix. */
function eitherOf(node: Settings, name: string, short: string): string | null {
  return textOf(node.get(name)) ?? textOf(node.get(short));
}

function keyOf(draft: Draft, node: Settings, preset: string, stored: string | null, where: string): Fields {
  const key = readKey(draft, node.get('api_key') ?? node.get('azure_ad_token'), keyVariableOf(preset), `the key of ${where}`);
  if (key !== null) return { apiKey: key };
  if (isPresetName(preset) && !presets[preset].needsKey) return {};
  if (stored === null) return { apiKey: draft.variable(keyVariableOf(preset), `the key of ${preset}`) };
  const own = guessed(stored) === null ? stored : stored.slice(guessed(stored)!.length + 1);
  const suffix = own.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
  const name = suffix === '' ? keyVariableOf(preset) : `${keyVariableOf(preset)}_${suffix}`;
  return { apiKey: draft.variable(name, `the key that Portkey stores as ${stored}`) };
}

function cloudOf(draft: Draft, node: Settings, preset: string, where: string): Fields {
  const text = (name: string): string | null => readText(draft, node.get(name), name);
  if (preset === 'azure') {
    const apiVersion = readText(draft, eitherOf(node, 'azure_api_version', 'api_version'), 'azure_api_version');
    return { ...(apiVersion === null ? {} : { apiVersion }), ...azureIdentity(draft, node, where) };
  }
  if (preset === 'bedrock') {
    const region = text('aws_region') ?? draft.variable('AWS_REGION', 'the AWS region');
    const [id, secret, token] = ['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token'].map((name) => node.get(name));
    return { region, ...awsKeyOf(draft, id, secret, token) };
  }
  if (preset !== 'vertex') return {};
  const [project, location] = [text('vertex_project_id'), text('vertex_region')];
  return {
    ...(project === null ? {} : { project }),
    ...(location === null ? {} : { location }),
    ...googleOf(draft, node.get('vertex_service_account_json')),
  };
}

function azureIdentity(draft: Draft, node: Settings, where: string): Fields {
  const mode = textOf(node.get('azure_auth_mode'));
  if (mode === 'managed')
    draft.note(`${where}.azure_auth_mode`, 'not carried over: managed identities have no counterpart; set a key, or entra');
  if (mode !== 'entra') return {};
  const [tenant, client, secret, scope] = ['tenant_id', 'client_id', 'client_secret', 'scope'].map((name) =>
    node.get(`azure_entra_${name}`),
  );
  return entraOf(draft, tenant, client, secret, scope);
}

function headersOf(draft: Draft, node: Settings, preset: string): Readonly<Record<string, string>> {
  const own = preset === 'openai' ? node.pick(Object.keys(OPENAI_HEADERS)) : {};
  const named = Object.fromEntries(Object.entries(own).map(([name, value]) => [OPENAI_HEADERS[name]!, value]));
  return headersFrom(draft, { headers: node.get('headers'), extra_headers: named }, preset);
}

/** Headers with credentials and those of the connection are never forwarded. */
function forwardedOf(draft: Draft, node: Settings, where: string): string[] {
  const given = node.get('forward_headers');
  const names = Array.isArray(given) ? given.map((name) => String(name).trim().toLowerCase()) : [];
  const refused = names.filter((name) => forwardingFault(name, false) !== null);
  // An invalid name may be a whole header with its value.
  const shown = refused.map((name) => (/^[\w-]+$/.test(name) ? name : '****'));
  if (shown.length > 0) draft.note(`${where}.forward_headers`, `not carried over: ${shown.join(', ')}, which Breakwater does not forward`);
  return [...new Set(names)].filter((name) => !refused.includes(name));
}
