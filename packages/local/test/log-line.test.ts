import { expect, test } from 'vitest';
import { readable } from '../src/cli/log-line';

test.each([
  ['plain text', 'plain text'],
  [
    '{"timestamp":"t","level":"INFO","requestId":"r","message":"answered","status":204}',
    'INFO answered status=204',
  ],
  ['{"level":"ERROR","message":{"errorType":"TypeError"}}', 'ERROR {"errorType":"TypeError"}'],
  [
    '{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"A"},{"Name":"B"}]}]},"FunctionName":"f","A":1,"B":2}',
    'METRICS A=1 B=2',
  ],
  [
    '{"timestamp":"t","level":"INFO","message":"done","count":3,"_aws":{"CloudWatchMetrics":[{"Dimensions":[["F"]],"Metrics":[{"Name":"A"}]}]},"F":"f","A":[1,2]}',
    'INFO done count=3 METRICS A=[1,2]',
  ],
  ['{"some":"json"}', '{"some":"json"}'],
  ['7', '7'],
])('%s is shown as %s', (line, shown) => expect(readable(line)).toBe(shown));
