module cdk-serverless-blocks/crash-reporter

go 1.26.0

toolchain go1.26.11

require golang.org/x/crypto/x509roots/fallback v0.0.0-20260113154411-7d0074ccc6f1
