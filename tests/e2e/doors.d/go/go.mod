module door

go 1.24

require (
	github.com/openpcc/bhttp v0.0.37
	github.com/openpcc/ohttp v0.0.37
	github.com/openpcc/twoway v0.0.37
)
