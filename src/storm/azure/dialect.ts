/** Azure OpenAI: OpenAI's dialects behind deployments, or under `/openai/v1`. */
import type { Dialect, Endpoint, Failure, FailureResponse, Received } from '../dialect.ts';
import { decodePart } from '../request.ts';

const DEPLOYMENT = /^\/openai\/deployments\/([^/]+)(\/.+)$/;
const CLASSIC = /^\/openai(\/(?:responses|models)(?:\/.*)?)$/;
const V1 = /^\/openai(\/v1\/.+)$/;

/** An OpenAI dialect as served by Azure. */
export function onAzure(dialect: Dialect): Dialect {
  return {
    ...dialect,
    route(received) {
      const [, deployment = '', inDeployment] = DEPLOYMENT.exec(received.path) ?? [];
      if (inDeployment !== undefined) {
        const endpoint = dialect.route({ ...received, path: inDeployment });
        return endpoint && classic(endpoint, `/openai/deployments/{deployment}${inDeployment}`, { model: decodePart(deployment) });
      }
      const path = V1.exec(received.path)?.[1];
      const classicPath = CLASSIC.exec(received.path)?.[1];
      const endpoint =
        path === undefined && classicPath === undefined ? undefined : dialect.route({ ...received, path: path ?? classicPath ?? '' });
      if (endpoint === undefined) return undefined;
      return path === undefined
        ? classic(endpoint, `/openai${endpoint.label.slice('/v1'.length)}`, {})
        : { ...endpoint, label: `/openai${endpoint.label}` };
    },
    claims: (path) => path.startsWith('/openai/'),
    failure: (failure) => dialect.failure(azureFailure(failure)),
    limitHeaders: (states) => withoutDurations(dialect.limitHeaders(states)),
    requestIdHeader: 'apim-request-id',
  };
}

/** The classic URL form requires `api-version` in the query. */
function classic({ counted, read }: Endpoint, label: string, more: Pick<Received, 'model'>): Endpoint {
  return {
    label,
    counted,
    read(received) {
      if (!new URLSearchParams(received.query).has('api-version'))
        return { reason: 'not-found', message: 'Resource not found', code: '404' };
      return read({ ...received, ...more });
    },
  };
}

/** Azure's messages, where they differ from OpenAI's. */
function azureFailure(failure: Failure): Failure {
  if (failure.raw !== undefined || failure.shape !== undefined || failure.message !== undefined) return failure;
  const raw = (code: string, message: string): Failure => ({
    ...failure,
    raw: { contentType: 'application/json', body: JSON.stringify({ error: { code, message } }) },
  });
  switch (failure.reason) {
    case 'bad-key':
      return raw(
        '401',
        'Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.',
      );
    case 'no-model':
      return raw(
        'DeploymentNotFound',
        'The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.',
      );
    case 'rate-limit': {
      const seconds = failure.headers?.['retry-after'];
      return raw(
        '429',
        `Requests to the API have exceeded the rate limit of your current pricing tier.${seconds === undefined ? '' : ` Please retry after ${seconds} seconds.`}`,
      );
    }
    default:
      return failure;
  }
}

/** Azure sends the limits and remaining values, and no Go durations. */
function withoutDurations(headers: FailureResponse['headers'] = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.includes('-reset-')));
}
