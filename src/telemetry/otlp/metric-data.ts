/** The metrics of /metrics in the form of the OTLP exporter: same names, labels as attributes. */
import type { HrTime } from '@opentelemetry/api';
import type { DataPoint, Histogram, MetricData } from '@opentelemetry/sdk-metrics';
import type { ExposedFamily } from '../metrics.ts';
import type { Sample } from '../series.ts';

/** The values of the packages' enumerations. */
const DOUBLE = 1;
const CUMULATIVE = 1;
const HISTOGRAM = 0;
const GAUGE = 2;
const SUM = 3;

export function metricsOf(families: readonly ExposedFamily[], startedEpochMs: number, epochMs: number): MetricData[] {
  const startTime = toHrTime(startedEpochMs);
  const endTime = toHrTime(epochMs);
  return families.flatMap((family): MetricData[] => {
    const samples = family.samples();
    if (samples.length === 0) return [];
    const common = {
      descriptor: { name: family.name, description: family.help, unit: unitOf(family.name), valueType: DOUBLE },
      aggregationTemporality: CUMULATIVE,
    } as const;
    if (family.type === 'histogram')
      return [{ ...common, dataPointType: HISTOGRAM, dataPoints: histograms(family.name, samples, startTime, endTime) }];
    const dataPoints = samples.map(({ labels, value }) => ({ startTime, endTime, attributes: labels, value }));
    if (family.type === 'gauge') return [{ ...common, dataPointType: GAUGE, dataPoints }];
    return [{ ...common, dataPointType: SUM, dataPoints, isMonotonic: true }];
  });
}

/** Of the samples of one series after the other: its buckets, cumulative, up to infinity; its sum; its count. */
function histograms(name: string, samples: readonly Sample[], startTime: HrTime, endTime: HrTime): DataPoint<Histogram>[] {
  const points: DataPoint<Histogram>[] = [];
  let boundaries: number[] = [];
  let counts: number[] = [];
  let below = 0;
  let sum = 0;
  for (const { metricName, labels, value } of samples) {
    if (metricName === `${name}_bucket`) {
      if (labels['le'] !== '+Inf') boundaries.push(Number(labels['le']));
      counts.push(value - below);
      below = value;
    } else if (metricName === `${name}_sum`) sum = value;
    else {
      points.push({ startTime, endTime, attributes: labels, value: { buckets: { boundaries, counts }, sum, count: value } });
      [boundaries, counts, below] = [[], [], 0];
    }
  }
  return points;
}

function unitOf(name: string): string {
  if (/_seconds(?:_total)?$/.test(name)) return 's';
  return /_bytes$/.test(name) ? 'By' : '';
}

function toHrTime(epochMs: number): HrTime {
  return [Math.floor(epochMs / 1_000), (epochMs % 1_000) * 1e6];
}
