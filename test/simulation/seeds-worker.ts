import { runSeeds, type SeedRange } from './run-seeds.js';

// A child process of `run-in-parallel`: ranges in, results out, until the channel is closed.
process.on('message', (range: SeedRange) => {
  void runSeeds(range).then((result) => process.send?.(result));
});
