/** Calls a handler as Lambda does, in a process of its own. Handlers log to stdout, so the figures go to stderr. */
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const { BENCH_BUNDLE: bundle, BENCH_EXPORT: name, BENCH_STATUS: status } = process.env;
const warm = Number(process.env.BENCH_WARM);

async function main() {
  if (bundle === 'floor') {
    // What Node.js itself brings, and every client of AWS needs.
    process.getBuiltinModule('node:https');
    process.getBuiltinModule('node:crypto');
    return { loadMs: cpu(), firstMs: 0, warmUs: 0, rssMb: process.memoryUsage().rss / 1e6 };
  }
  const event = JSON.parse(process.env.BENCH_EVENT);
  const context = {
    awsRequestId: '00000000-0000-4000-8000-000000000000',
    functionName: 'bench',
    getRemainingTimeInMillis: () => 10_000,
  };
  const handler = module.require(bundle)[name];
  const call = async () => {
    const answer = await handler(event, context);
    if (String(answer.statusCode) !== status) throw new Error(`Not ${status}: ${JSON.stringify(answer)}`);
  };
  const loadMs = cpu();
  await call();
  const firstMs = cpu() - loadMs;
  const rssMb = process.memoryUsage().rss / 1e6;
  for (let n = 0; n < warm; n++) await call();
  const before = cpu();
  for (let n = 0; n < warm; n++) await call();
  return { loadMs, firstMs, rssMb, warmUs: warm > 0 ? ((cpu() - before) * 1000) / warm : 0 };
}

main().then(
  figures => process.stderr.write(JSON.stringify(figures), () => process.exit(0)),
  error => process.stderr.write(`${error.stack}\n`, () => process.exit(1)),
);
