/**
 * What issuing costs in a space that fills up: mean values of the algorithm, which a test checks by
 * simulation.
 */

/** Draws that it takes to find one free code where the share `fill` of all codes is taken. */
export function drawsPerCode(fill: number): number {
  return 1 / (1 - fill);
}

/** Writes that it takes until all codes of a batch are free: only those that were taken are drawn again. */
export function roundsPerBatch(fill: number, count: number): number {
  let rounds = 0;
  // The chance that after so many rounds at least one code is still a taken one.
  for (let missed = 1; missed > 1e-9; ) {
    const open = 1 - (1 - missed) ** count;
    rounds += open;
    missed *= fill;
    if (fill === 0 || rounds > 1e6) break;
  }
  return rounds;
}

/** Write capacity units of a batch: a transaction costs two per item, whether it is written or cancelled. */
export function writeUnitsPerBatch(fill: number, count: number, itemsPerCode: number): number {
  return roundsPerBatch(fill, count) * count * itemsPerCode * 2;
}
