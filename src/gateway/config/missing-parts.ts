/** Checks what a config needs on this machine. Separate from `parseConfig`, which depends on the config only. */
import { existsSync, readFileSync } from 'node:fs';
import { googleKeyFault } from '../identity/google.ts';
import { missingPeer } from '../../local/peers.ts';
import type { Config, ProviderConfig } from './config.ts';
import type { ConfigFault } from './faults.ts';

/** Missing packages, weights, key files and check modules, as faults of the config. */
export function missingParts(config: Config): ConfigFault[] {
  return [
    ...Object.values(config.providers).flatMap((provider) => [...missingPartsOf(provider), ...missingKeyOf(provider)]),
    ...missingChecks(config),
  ];
}

function missingChecks({ policy, providers, models }: Config): ConfigFault[] {
  const owners: [string, { readonly quality?: { readonly check?: unknown } | undefined }][] = [
    ['policy', policy],
    ...Object.values(providers).map((provider): [string, typeof provider.policy] => [`providers.${provider.name}`, provider.policy]),
    ...Object.values(models).map((model): [string, typeof model.policy] => [`models.${model.name}`, model.policy]),
  ];
  return owners.flatMap(([path, { quality }]) => {
    const check = quality?.check;
    return typeof check !== 'string' || existsSync(check) ? [] : [fault(`${path}.quality.check`, `${check} does not exist`)];
  });
}

function missingPartsOf({ name, engine }: ProviderConfig): ConfigFault[] {
  if (engine === null) return [];
  const missing = missingPeer(engine.name, engine.directory);
  const faults = missing === null ? [] : [fault(`providers.${name}.engine`, missing)];
  for (const [model, { weights }] of Object.entries(engine.models)) {
    if (weights === null || existsSync(weights)) continue;
    faults.push(fault(`providers.${name}.models.${model}.weights`, `${weights} does not exist`));
  }
  return faults;
}

function missingKeyOf({ name, identity }: ProviderConfig): ConfigFault[] {
  if (identity?.kind !== 'google-key') return [];
  const path = `providers.${name}.google.${identity.file === null ? 'key' : 'keyFile'}`;
  if (identity.file !== null && !existsSync(identity.file)) return [fault(path, `${identity.file} does not exist`)];
  const why = googleKeyFault(identity.json ?? readFileSync(identity.file!, 'utf8'));
  return why === null ? [] : [fault(path, `${identity.file ?? 'the key'} ${why}`)];
}

function fault(path: string, what: string): ConfigFault {
  return { path, message: `${path}: ${what}` };
}
