    if (failed.length > 0) throw new Error(`These tests fail without a mutant:\n${failed.join('\n')}`);
    const testsOf = (mutant: Mutant) =>
      Object.keys(coverage).filter(test => coverage[test].includes(mutant.id));
    const queue = spread(all);
    await Promise.all(
      workers.map(async worker => {
        for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
          const ofMutant = testsOf(mutant);
          if (ofMutant.length === 0) outcomes.set(mutant, 'not reached');
          else if (Date.now() > until) outcomes.set(mutant, 'not run');
          else outcomes.set(mutant, (await worker.ask(mutant.id, ofMutant)).killed ? 'killed' : 'survived');
        }
