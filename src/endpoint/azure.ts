/**
 * Azure OpenAI and Microsoft Foundry. Two styles: `/openai/v1/…`, where the body names the deployment, and `/openai/deployments/{name}/…`,
 * where the path does and an API version is required. Claude on Foundry is under `/anthropic/v1/…` in both.
 */
import { ANTHROPIC_HEADERS } from './anthropic.ts';
import type { Endpoint, EndpointCall } from './endpoint.ts';
import { openaiPath } from './openai.ts';
import type { EndpointSettings } from './settings.ts';

type AzureSettings = Extract<EndpointSettings, { name: 'azure' }>;

export function azureEndpoint(settings: AzureSettings, protocol: string): Endpoint {
  const isAnthropic = protocol === 'anthropic';
  return {
    path: (basePath, call) => (isAnthropic ? anthropicPath(basePath, call) : pathOf(settings, rootOf(basePath), call)),
    // The list contains deployable models, not deployments.
    modelsPath: () => null,
    credentialHeader: (credential, given) => (given === 'authorization' || isAccessToken(credential) ? 'authorization' : 'api-key'),
    defaultHeaders: isAnthropic ? ANTHROPIC_HEADERS : [],
  };
}

/** The base URL is that of the resource, or an SDK's base URL for one of the styles. */
function rootOf(basePath: string): string {
  return basePath.replace(/\/(?:openai(?:\/v1)?|anthropic(?:\/v1)?)$/, '');
}

function anthropicPath(basePath: string, { path }: EndpointCall): string {
  return `${rootOf(basePath)}/anthropic/v1${path ?? '/messages'}`;
}

function pathOf({ style, apiVersion }: AzureSettings, root: string, call: EndpointCall): string {
  const [path, query] = openaiPath(call).split('?') as [string, string?];
  const inDeployment = style === 'deployments' && !/^\/(?:responses|models|files|batches)(?:\/|$)/.test(path);
  const place = style === 'v1' ? '/openai/v1' : inDeployment ? `/openai/deployments/${encodeURIComponent(call.model)}` : '/openai';
  return `${root}${place}${path}${queryOf(query ?? '', apiVersion)}`;
}

/** Replaces a version that the caller sent: it does not apply to this resource. */
function queryOf(given: string, apiVersion: string | null): string {
  const parts = given.split('&').filter((part) => part !== '' && !/^api-version(?:=|$)/i.test(part));
  if (apiVersion !== null) parts.push(`api-version=${encodeURIComponent(apiVersion)}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** Microsoft Entra tokens are JSON Web Tokens; resource keys have no dots. */
export function isAccessToken(credential: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(credential);
}
