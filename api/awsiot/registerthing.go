package awsiot

func registerThingOperations() []operation { return nil }
