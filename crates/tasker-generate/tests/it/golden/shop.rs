//! The coordinator `shop`: decides who may do what. What it does not allow is denied.
//!
//! As it stands, whoever has a permission may use it, whoever owns a task may do to it what the
//! options say, and administrators may do everything only if the options say so. Write your rules
//! into `decide`.

use serde::{Deserialize, Serialize};
use tasker_auth::{
    AuthFuture, Authorizer, Decision, Filter, Identity, Namespaces, Permission, PermissionSet,
    Reason, Registry, Scope, Unavailable, read_section,
};

/// The name in the configuration.
pub const NAME: &str = "shop";

/// The options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShopConfig {
    /// Whether those whom the host application calls administrators may do everything.
    pub admins_may_everything: bool,
    /// What everybody may do to what is their own.
    pub owners_may: PermissionSet,
}

/// Serves all requests at once and keeps nothing of them.
#[derive(Debug, Clone, Default)]
pub struct Shop {
    config: ShopConfig,
}

/// Registers it for use by its name.
pub fn register(registry: Registry) -> Registry {
    registry.coordinator(NAME, |options| {
        let config = read_section(options)?;
        Ok(Shop::new(config))
    })
}

impl Shop {
    /// The coordinator.
    pub fn new(config: ShopConfig) -> Self {
        Self { config }
    }

    fn decide(&self, who: &Identity, permission: Permission, scope: &Scope) -> Decision {
        if who.is_nobody() {
            return Decision::deny(Reason::NotGranted);
        }
        if who.is_admin && self.config.admins_may_everything {
            return Decision::allow(Reason::Admin);
        }
        if who.permissions.contains(permission) {
            return Decision::allow(Reason::Granted);
        }
        if !self.config.owners_may.contains(permission) {
            return Decision::deny(Reason::NotGranted);
        }
        self.decide_for_owner(who, scope)
    }

    /// Of a listing an owner sees their own; to the system as a whole nobody is owner.
    fn decide_for_owner(&self, who: &Identity, scope: &Scope) -> Decision {
        let owner = Some(who.subject.clone());
        match scope {
            Scope::Thing(thing) if thing.owner == owner => Decision::allow(Reason::Owner),
            Scope::Listing => Decision::Allowed {
                reason: Reason::Owner,
                filter: Filter::new(Namespaces::All, owner),
            },
            _ => Decision::deny(Reason::NotGranted),
        }
    }
}

impl Authorizer for Shop {
    fn check<'a>(
        &'a self,
        who: &'a Identity,
        permission: Permission,
        scope: &'a Scope,
    ) -> AuthFuture<'a, Result<Decision, Unavailable>> {
        Box::pin(async move { Ok(self.decide(who, permission, scope)) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tasker_auth::{AuthConfig, Method};

    use super::*;

    fn somebody() -> Identity {
        Identity::new("ada", Method::Custom)
    }

    fn of(owner: &str) -> Scope {
        Scope::task("shop", 1, Some(owner.to_owned()))
    }

    fn owners() -> Shop {
        let owners_may = [
            Permission::TaskIndex,
            Permission::TaskRetry,
            Permission::TaskCancel,
        ];
        let owners_may = owners_may.into_iter().collect();
        Shop::new(ShopConfig {
            owners_may,
            ..ShopConfig::default()
        })
    }

    #[test]
    fn what_nothing_permits_is_denied() {
        let mut admin = somebody().with_roles(["admin"]);
        admin.is_admin = true;
        for &permission in Permission::ALL {
            for scope in [Scope::System, Scope::Listing, of("ada")] {
                for who in [&somebody(), &admin, &Identity::nobody()] {
                    let decision = Shop::default().decide(who, permission, &scope);
                    assert!(!decision.is_allowed(), "{permission} {scope:?}");
                }
            }
        }
    }

    /// Of every resource: health, handlers, metrics and analytics among them.
    #[test]
    fn each_permission_permits_itself_alone() {
        for &permission in Permission::ALL {
            let who = somebody().with_permissions([permission]);
            for &other in Permission::ALL {
                let decision = Shop::default().decide(&who, other, &Scope::System);
                assert_eq!(
                    decision.is_allowed(),
                    other == permission,
                    "{permission} {other}"
                );
            }
        }
    }

    #[test]
    fn owners_may_do_to_their_own_what_the_options_say() {
        let decide = |permission, scope: &Scope| owners().decide(&somebody(), permission, scope);
        assert!(decide(Permission::TaskRetry, &of("ada")).is_allowed());
        assert!(decide(Permission::TaskCancel, &of("ada")).is_allowed());
        assert!(!decide(Permission::TaskCancel, &of("grace")).is_allowed());
        assert!(!decide(Permission::TaskDestroy, &of("ada")).is_allowed());
        assert!(!decide(Permission::TaskCancel, &Scope::System).is_allowed());
        let listing = decide(Permission::TaskIndex, &Scope::Listing);
        let Decision::Allowed { filter, .. } = listing else {
            panic!("{listing:?}")
        };
        assert_eq!(filter, Filter::new(Namespaces::All, Some("ada".into())));
        let nobody = owners().decide(&Identity::nobody(), Permission::TaskCancel, &of(""));
        assert!(!nobody.is_allowed());
    }

    #[test]
    fn administrators_may_do_everything_only_if_the_options_say_so() {
        let config = ShopConfig {
            admins_may_everything: true,
            ..ShopConfig::default()
        };
        let mut admin = somebody();
        admin.is_admin = true;
        for &permission in Permission::ALL {
            let policy = Shop::new(config.clone());
            assert!(
                policy
                    .decide(&admin, permission, &Scope::System)
                    .is_allowed()
            );
            assert!(
                !policy
                    .decide(&somebody(), permission, &Scope::System)
                    .is_allowed()
            );
        }
    }

    fn configured(options: Value) -> Result<(), String> {
        let section = json!({
            "authorization_enabled": true, "authorization_coordinator": NAME,
            "authorization_coordinator_options": options,
        });
        let config: AuthConfig = read_section(&section).unwrap();
        let built = config.build(&register(Registry::default()));
        built.map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn it_is_configured_by_name_and_every_mistake_is_told() {
        configured(json!({ "owners_may": ["tasker.task:retry"] })).unwrap();
        let wrong = json!({ "owners_may": ["tasker.task:fly"], "unheard_of": 1 });
        let said = configured(wrong).unwrap_err();
        assert!(
            said.contains("tasker.task:fly") && said.contains("unheard_of"),
            "{said}"
        );
    }
}
