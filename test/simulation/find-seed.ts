import { runSeeds } from './pool.ts';
const from = Number(process.argv[2]);
const isFound = (faults: readonly string[]): boolean => faults.some((fault) => /^attempts: .* was asked again/.test(fault));
const seeds = Array.from({ length: 400 }, (_, i) => from + i);
const reports = await runSeeds({
  seeds,
  mutation: 'attempts: who waits for a repeat has not paid for it',
  isEnough: (report) => isFound(report.faults),
});
console.log(
  reports.length,
  reports.find(({ faults }) => isFound(faults)),
);
