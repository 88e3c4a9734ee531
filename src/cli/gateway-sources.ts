/** What telemetry reads of a gateway. Events of other instances arrive before the gateway is complete: until then, its config alone is read. */
import type { Config } from '../gateway/config/index.ts';
import { isNamedBy } from '../gateway/config-facts.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { operatorStatus } from '../gateway/operator-status.ts';
import type { TelemetryOptions } from '../telemetry/telemetry.ts';

type Sources = Required<Pick<TelemetryOptions, 'captures' | 'snapshot' | 'status' | 'isConfiguredModel' | 'isConfiguredTarget'>>;

interface GatewaySources {
  readonly telemetry: Sources;
  readonly configNow: () => Config;
  /** Once the gateway is complete. */
  attach(gateway: Gateway): void;
}

export function createGatewaySources(config: Config, simulated: boolean): GatewaySources {
  let gateway: Gateway | null = null;
  const configNow = (): Config => gateway?.config ?? config;
  return {
    telemetry: {
      captures: {
        prompt: (requestId) => gateway?.captures.prompt(requestId) ?? null,
        bodies: (requestId) => gateway?.captures.bodies(requestId) ?? null,
      },
      snapshot: () => gateway?.snapshot() ?? null,
      status: () => (gateway === null ? null : operatorStatus(gateway, simulated)),
      isConfiguredModel: (model) => gateway?.isListed(model) ?? config.models[model] !== undefined,
      isConfiguredTarget: isNamedBy(configNow),
    },
    configNow,
    attach(complete) {
      gateway = complete;
    },
  };
}
