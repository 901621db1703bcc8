package awsapi

import "strings"

// Partition is what differs between AWS's separate clouds.
type Partition struct {
	ID            string
	DNSSuffix     string
	ConsoleDomain string
}

var partitions = []struct {
	prefix string
	Partition
}{
	{"cn-", Partition{"aws-cn", "amazonaws.com.cn", "console.amazonaws.cn"}},
	{"us-gov-", Partition{"aws-us-gov", "amazonaws.com", "console.amazonaws-us-gov.com"}},
	{"us-iso-", Partition{"aws-iso", "c2s.ic.gov", "console.c2shome.ic.gov"}},
	{"us-isob-", Partition{"aws-iso-b", "sc2s.sgov.gov", "console.sc2shome.sgov.gov"}},
	{"eu-isoe-", Partition{"aws-iso-e", "cloud.adc-e.uk", "console.cloud.adc-e.uk"}},
	{"us-isof-", Partition{"aws-iso-f", "csp.hci.ic.gov", "console.csp.hci.ic.gov"}},
	{"eusc-", Partition{"aws-eusc", "amazonaws.eu", "console.amazonaws-eusc.eu"}},
}

// PartitionOf returns the partition a region belongs to.
func PartitionOf(region string) Partition {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.Partition
		}
	}
	return Partition{"aws", "amazonaws.com", "console.aws.amazon.com"}
}
