import { testJobContract } from '../jobs/job-contract.test-suite.ts';
import { createMemoryJobs } from './memory-jobs.ts';

testJobContract({ name: 'memory', open: async () => createMemoryJobs() });
