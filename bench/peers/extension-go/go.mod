module extension-peer

go 1.26.0
