import type { Config } from '../gateway/config/index.ts';

/** Every credential that a config holds, to be masked wherever it turns up. */
export function secretsOf(config: Config): string[] {
  const secrets = [config.server.adminKey, ...config.clients.map((client) => client.key ?? '')];
  for (const provider of Object.values(config.providers)) {
    if (provider.apiKeys !== 'caller') secrets.push(...provider.apiKeys);
    for (const [name, value] of Object.entries(provider.headers)) if (isSecretHeader(name)) secrets.push(value);
  }
  return secrets.filter((secret) => secret !== '');
}

function isSecretHeader(name: string): boolean {
  return /auth|key|token|secret|password|cookie|credential/i.test(name);
}
