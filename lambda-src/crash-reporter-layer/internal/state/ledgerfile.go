package state

import "cdk-serverless-blocks/crash-reporter/internal/wire"

// readLedger reads what write wrote. The function's code can write there, too:
// what is not a ledger, or not in it, is treated as if there had been none.
func readLedger(raw []byte) ledgerData {
	members := wire.Object(raw)
	d := ledgerData{
		Generation: wire.Int(members["generation"]), Fingerprints: map[string]seen{},
		InitCrash: wire.Int(members["initCrash"]), InitCrashAt: int64(wire.Int(members["initCrashAt"])),
		Tokens: wire.Float(members["tokens"]), Refilled: int64(wire.Int(members["refilled"])),
		LimitedUntil: int64(wire.Int(members["limitedUntil"])), ReportedAt: int64(wire.Int(members["reportedAt"])),
		Unreported: readCounts(members["unreported"]),
	}
	for fingerprint, value := range wire.Object(members["fingerprints"]) {
		fields := wire.Object(value)
		d.Fingerprints[fingerprint] = seen{Last: int64(wire.Int(fields["last"])), Count: wire.Int(fields["count"])}
	}
	account := wire.Object(members["account"])
	d.Account = Account{Crashes: wire.Int(account["crashes"]), Sent: wire.Int(account["sent"]), HeldBack: readCounts(account["heldBack"])}
	return d
}

func readCounts(raw wire.Raw) map[Reason]int {
	counts := map[Reason]int{}
	for reason, n := range wire.Object(raw) {
		if len(counts) < len(Reasons) {
			counts[Reason(reason)] = wire.Int(n)
		}
	}
	return counts
}

func (d ledgerData) write() []byte {
	fingerprints := map[string]any{}
	for fingerprint, s := range d.Fingerprints {
		fingerprints[fingerprint] = map[string]any{"last": s.Last, "count": s.Count}
	}
	return wire.Marshal(map[string]any{
		"generation": d.Generation, "fingerprints": fingerprints, "initCrash": d.InitCrash, "initCrashAt": d.InitCrashAt,
		"tokens": d.Tokens, "refilled": d.Refilled, "limitedUntil": d.LimitedUntil, "reportedAt": d.ReportedAt,
		"account":    map[string]any{"crashes": d.Account.Crashes, "sent": d.Account.Sent, "heldBack": writeCounts(d.Account.HeldBack)},
		"unreported": writeCounts(d.Unreported),
	})
}

func writeCounts(counts map[Reason]int) map[string]int {
	written := map[string]int{}
	for reason, n := range counts {
		if n != 0 {
			written[string(reason)] = n
		}
	}
	return written
}
