/**
 * Azure OpenAI and Microsoft Foundry. Two styles: `/openai/v1/…`, where the body names the deployment, and `/openai/deployments/{name}/…`,
 * where the path does and a version of the API is demanded. Claude on Foundry is under `/anthropic/v1/…` in both.
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
    // Its list holds models that could be deployed, not deployments.
    modelsPath: () => null,
    credentialHeader: (credential, given) => (given === 'authorization' || isAccessToken(credential) ? 'authorization' : 'api-key'),
    defaultHeaders: isAnthropic ? ANTHROPIC_HEADERS : [],
  };
}

/** The base URL is that of the resource, or what an SDK takes for one of the styles. */
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

/** A version that a caller sent is meant for whom it called. */
function queryOf(given: string, apiVersion: string | null): string {
  const kept = given.split('&').filter((part) => part !== '' && !/^api-version(?:=|$)/i.test(part));
  if (apiVersion !== null) kept.push(`api-version=${encodeURIComponent(apiVersion)}`);
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

/** Tokens of Microsoft Entra are JSON Web Tokens; keys of a resource have no dots. */
export function isAccessToken(credential: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(credential);
}
