/** Address and credentials of a cloud provider, from its settings and its own environment variables. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { DIRECT, type EndpointSettings } from '../../endpoint/settings.ts';
import type { FaultList, Path } from './faults.ts';
import type { IdentityConfig } from './identity.ts';
import type { Environment } from './interpolate.ts';
import type { ProviderInput } from './provider-schema.ts';

export interface CloudContext {
  readonly input: ProviderInput;
  readonly env: Environment;
  readonly directory: string;
  readonly path: Path;
  readonly faults: FaultList;
}

export interface Cloud {
  readonly address: EndpointSettings;
  /** Null: missing, which is reported already, or not determined by the cloud. */
  readonly baseUrl: string | null;
  /** Null: requests are authenticated with keys. */
  readonly identity: IdentityConfig | null;
  /** True: credentials may come from the environment, since the address is the cloud's own. */
  readonly takesEnvironment: boolean;
  /** The key from its environment variables; empty: none. */
  readonly envKey: string;
}

/** The settings of `cloud-schema.ts` that each kind of endpoint has. */
const OWN_SETTINGS: Readonly<Record<EndpointSettings['name'], readonly CloudSetting[]>> = {
  direct: [],
  azure: ['apiVersion', 'entra'],
  bedrock: ['region', 'service', 'claudeApi', 'aws'],
  vertex: ['project', 'location', 'google'],
};
type CloudSetting = 'apiVersion' | 'entra' | 'region' | 'service' | 'claudeApi' | 'aws' | 'project' | 'location' | 'google';

export function buildCloud(name: EndpointSettings['name'], context: CloudContext): Cloud {
  for (const [owner, settings] of Object.entries(OWN_SETTINGS)) {
    if (owner === name) continue;
    for (const setting of settings) {
      if (context.input[setting] !== undefined)
        context.faults.add([...context.path, setting], `is a setting of ${owner}; set preset: ${owner} if this provider is one`);
    }
  }
  if (name === 'azure') return buildAzure(context);
  if (name === 'bedrock') return buildBedrock(context);
  if (name === 'vertex') return buildVertex(context);
  return { address: DIRECT, baseUrl: null, identity: null, takesEnvironment: false, envKey: '' };
}

/** What is missing to configure a cloud from its variables alone; null: nothing; undefined: the cloud is not requested. */
export function missingInEnvironment(name: EndpointSettings['name'], env: Environment): string | null | undefined {
  if (name === 'azure' && read(env, 'AZURE_OPENAI_API_KEY', 'AZURE_OPENAI_AD_TOKEN') !== '')
    return read(env, 'AZURE_OPENAI_ENDPOINT') === '' ? 'AZURE_OPENAI_ENDPOINT is not set' : null;
  if (name === 'bedrock' && read(env, 'AWS_BEARER_TOKEN_BEDROCK') !== '')
    return read(env, ...REGIONS) === '' ? 'AWS_REGION is not set' : null;
  if (name === 'vertex' && /^(true|1)$/i.test(read(env, 'GOOGLE_GENAI_USE_VERTEXAI'))) {
    if (read(env, ...PROJECTS) === '') return 'GOOGLE_CLOUD_PROJECT is not set';
    return read(env, 'GOOGLE_APPLICATION_CREDENTIALS') === '' ? 'GOOGLE_APPLICATION_CREDENTIALS is not set' : null;
  }
  return undefined;
}

const REGIONS = ['AWS_REGION', 'AWS_DEFAULT_REGION'];
const PROJECTS = ['GOOGLE_CLOUD_PROJECT', 'ANTHROPIC_VERTEX_PROJECT_ID'];
const LOCATIONS = ['GOOGLE_CLOUD_LOCATION', 'CLOUD_ML_REGION'];

/** The first of the variables that is set. */
function read(env: Environment, ...names: readonly string[]): string {
  return names.map((name) => env[name]?.trim() ?? '').find((value) => value !== '') ?? '';
}

/** Secrets of the environment go to the cloud's own hosts only, unless the environment names the address as well. */
function isOwnHost(url: string | undefined, hosts: RegExp): boolean {
  return url === undefined || (URL.canParse(url) && new URL(url).protocol === 'https:' && hosts.test(new URL(url).hostname));
}

function hasKeys({ apiKey, apiKeys }: ProviderInput): boolean {
  return apiKeys !== undefined || (apiKey?.trim() ?? '') !== '';
}

const AZURE_HOSTS = /\.(?:openai\.azure\.(?:com|us|cn)|services\.ai\.azure\.com|cognitiveservices\.azure\.(?:com|us|cn))$/;

function buildAzure({ input, env, path, faults }: CloudContext): Cloud {
  const baseUrl = input.baseUrl ?? read(env, 'AZURE_OPENAI_ENDPOINT');
  if (baseUrl === '')
    faults.add(
      [...path, 'baseUrl'],
      'is missing; set the address of the resource, https://NAME.openai.azure.com, or AZURE_OPENAI_ENDPOINT',
    );
  else if (/\/deployments(?:\/|$)/.test(baseUrl))
    faults.add([...path, 'baseUrl'], 'must be the address of the resource; the deployment is the name of the model');
  const apiVersion = input.apiVersion?.trim() ?? (input.baseUrl === undefined ? read(env, 'OPENAI_API_VERSION') : '');
  if (apiVersion !== '' && !/^[\w.-]{1,50}$/.test(apiVersion))
    faults.add([...path, 'apiVersion'], 'must be a version such as 2024-10-21 or preview', apiVersion);
  const isDated = /^\d{4}-\d\d-\d\d/.test(apiVersion);
  const style = isDated && !/\/v1\/?$/.test(baseUrl) ? 'deployments' : 'v1';
  const takesEnvironment = isOwnHost(input.baseUrl, AZURE_HOSTS);
  const envKey = takesEnvironment ? read(env, 'AZURE_OPENAI_API_KEY', 'AZURE_OPENAI_AD_TOKEN') : '';
  const identity = readEntra(input, takesEnvironment && envKey === '' ? env : {}, path, faults);
  return {
    address: { name: 'azure', style, apiVersion: apiVersion === '' ? null : apiVersion },
    baseUrl,
    identity,
    takesEnvironment,
    envKey,
  };
}

function readEntra(input: ProviderInput, env: Environment, path: Path, faults: FaultList): IdentityConfig | null {
  if (input.entra !== undefined && hasKeys(input)) faults.add([...path, 'entra'], 'must not be combined with a key');
  if (hasKeys(input)) return null;
  const tenantId = input.entra?.tenantId ?? read(env, 'AZURE_TENANT_ID');
  const clientId = input.entra?.clientId ?? read(env, 'AZURE_CLIENT_ID');
  const clientSecret = input.entra?.clientSecret ?? read(env, 'AZURE_CLIENT_SECRET');
  if (tenantId === '' || clientId === '' || clientSecret === '') return null;
  const authority = (input.entra?.authority ?? (read(env, 'AZURE_AUTHORITY_HOST') || 'https://login.microsoftonline.com')).replace(
    /\/+$/,
    '',
  );
  if (!/^https?:\/\//.test(authority) || !URL.canParse(authority)) faults.add([...path, 'entra', 'authority'], 'must be a URL');
  const scope = input.entra?.scope ?? 'https://cognitiveservices.azure.com/.default';
  const tokenUrl = `${authority}/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`;
  return { kind: 'entra', tokenUrl, clientId, clientSecret, scope };
}

const AWS_HOSTS = /\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;

function buildBedrock(context: CloudContext): Cloud {
  const { input, env, path, faults } = context;
  const service = input.service ?? 'runtime';
  const region = input.region?.trim() ?? read(env, ...REGIONS);
  if (region !== '' && !/^[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}$/.test(region))
    faults.add([...path, 'region'], 'must be a region such as us-east-1', region);
  const takesEnvironment = isOwnHost(input.baseUrl, AWS_HOSTS);
  const envKey = takesEnvironment ? read(env, 'AWS_BEARER_TOKEN_BEDROCK') : '';
  const identity =
    hasKeys(input) || (envKey !== '' && input.aws === undefined) ? null : readAws(context, region, takesEnvironment ? env : {});
  if (input.aws !== undefined && hasKeys(input)) faults.add([...path, 'aws'], 'must not be combined with a key');
  if (region === '' && (identity !== null || input.baseUrl === undefined))
    faults.add([...path, 'region'], 'is missing; set it, or AWS_REGION');
  const domain = service === 'mantle' ? 'api.aws' : region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const baseUrl = input.baseUrl ?? `https://bedrock-${service}.${region}.${domain}`;
  const address: EndpointSettings = { name: 'bedrock', service, claude: input.claudeApi ?? 'invoke' };
  return { address, baseUrl: region === '' && input.baseUrl === undefined ? '' : baseUrl, identity, takesEnvironment, envKey };
}

function readAws({ input, env: all, directory, path, faults }: CloudContext, region: string, env: Environment): IdentityConfig | null {
  const { aws = {} } = input;
  // The service names in a signature differ from those in the address.
  const signed = { region, service: input.service === 'mantle' ? 'bedrock-mantle' : 'bedrock' };
  const { accessKeyId, secretAccessKey, sessionToken = null } = aws;
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
    faults.add(
      [...path, 'aws', accessKeyId === undefined ? 'accessKeyId' : 'secretAccessKey'],
      'is missing; an access key needs both accessKeyId and secretAccessKey',
    );
  if (accessKeyId !== undefined && secretAccessKey !== undefined)
    return { kind: 'aws', ...signed, accessKeyId, secretAccessKey, sessionToken };
  if (input.aws === undefined) {
    const [id, secret] = [read(env, 'AWS_ACCESS_KEY_ID'), read(env, 'AWS_SECRET_ACCESS_KEY')];
    const token = read(env, 'AWS_SESSION_TOKEN');
    if (id !== '' && secret !== '')
      return { kind: 'aws', ...signed, accessKeyId: id, secretAccessKey: secret, sessionToken: token === '' ? null : token };
    if (read(env, 'AWS_PROFILE') === '') return null;
  }
  const fileOf = (written: string | undefined, variable: string, usual: string): string =>
    resolve(directory, written ?? (read(all, variable) || join(homedir(), '.aws', usual)));
  return {
    kind: 'aws-profile',
    ...signed,
    profile: aws.profile ?? (read(all, 'AWS_PROFILE') || 'default'),
    credentialsFile: fileOf(aws.credentialsFile, 'AWS_SHARED_CREDENTIALS_FILE', 'credentials'),
    configFile: fileOf(aws.configFile, 'AWS_CONFIG_FILE', 'config'),
  };
}

const GOOGLE_HOSTS = /(?:^|\.|-)aiplatform(?:\.(?:eu|us)\.rep)?\.googleapis\.com$/;

function buildVertex({ input, env, directory, path, faults }: CloudContext): Cloud {
  const takesEnvironment = isOwnHost(input.baseUrl, GOOGLE_HOSTS);
  const identity = readGoogle(input, takesEnvironment ? env : {}, directory, path, faults);
  const written = input.project?.trim() ?? read(env, ...PROJECTS);
  const isExpress = identity === null && written === '' && hasKeys(input);
  const project = isExpress ? null : written;
  if (project === '') faults.add([...path, 'project'], 'is missing; set it, or GOOGLE_CLOUD_PROJECT');
  else if (project !== null && !/^[\w.:-]{1,100}$/.test(project)) faults.add([...path, 'project'], 'must be the id of a project', project);
  const location = input.location?.trim() ?? (read(env, ...LOCATIONS) || 'global');
  if (!/^[a-z]+(?:-[a-z]+\d{1,2})?$/.test(location))
    faults.add([...path, 'location'], 'must be a location such as us-central1 or global', location);
  const baseUrl = input.baseUrl ?? `https://${vertexHost(isExpress ? 'global' : location)}`;
  return { address: { name: 'vertex', project, location }, baseUrl, identity, takesEnvironment, envKey: '' };
}

function vertexHost(location: string): string {
  if (location === 'global') return 'aiplatform.googleapis.com';
  return location === 'eu' || location === 'us' ? `aiplatform.${location}.rep.googleapis.com` : `${location}-aiplatform.googleapis.com`;
}

function readGoogle(input: ProviderInput, env: Environment, directory: string, path: Path, faults: FaultList): IdentityConfig | null {
  const { google } = input;
  if (google !== undefined && hasKeys(input)) faults.add([...path, 'google'], 'must not be combined with a key');
  if (hasKeys(input)) return null;
  const given = [google?.keyFile, google?.key, google?.metadata === true ? 'metadata' : undefined].filter((one) => one !== undefined);
  if (given.length > 1) faults.add([...path, 'google'], 'must have only one of keyFile, key and metadata');
  if (google?.metadata === true) {
    const host = read(env, 'GCE_METADATA_HOST') || 'metadata.google.internal';
    return { kind: 'google-metadata', origin: `http://${host}` };
  }
  if (google?.key !== undefined) return { kind: 'google-key', file: null, json: google.key };
  const file = google?.keyFile ?? read(env, 'GOOGLE_APPLICATION_CREDENTIALS');
  if (file !== '') return { kind: 'google-key', file: resolve(directory, file), json: null };
  faults.add(
    google === undefined ? [...path, 'google'] : [...path, 'google', 'keyFile'],
    'is missing; set google.keyFile, google.metadata: true, GOOGLE_APPLICATION_CREDENTIALS or an apiKey',
  );
  return null;
}
