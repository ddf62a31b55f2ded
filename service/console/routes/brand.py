"""The brand of the portal: the page on which an operator sets it, and the style sheet of customers' pages."""

from fastapi import Depends, Request, Response

from service.api import permissions
from service.api.dependencies import AuditTrailDep, BrandsDep
from service.console.branding import style_sheet
from service.console.forms import Form, FormDep
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.signing_in import ViewerDep
from service.domain.brands import Brand

FORM = "brand.html"
RIGHT = "v1.authentication.app-portal-access"  # whoever may give links to the portal says how it looks

router = pages()
routers = (router,)


async def permitted(viewer: ViewerDep) -> None:
    """Refuse whoever may not give links to the portal. NotAllowed."""
    permissions.check(viewer.caller, operation=RIGHT)


PERMITTED = [Depends(permitted)]


@router.get("/brand", operation_id="console.brand", dependencies=PERMITTED)
async def show_form(request: Request, brands: BrandsDep) -> Response:
    """Show the brand, with the fields to change it."""
    brand = await brands.get()
    fields = {} if brand is None else {"name": brand.name, "logoUrl": brand.logo_url, "accent": brand.accent}
    form = Form([(name, value) for name, value in fields.items() if value is not None])
    return page(request, FORM, form=form, kept=brand, problems={})


@router.post("/brand", operation_id="console.brand.keep", dependencies=PERMITTED)
async def keep(brands: BrandsDep, trail: AuditTrailDep, form: FormDep) -> Response:
    """Keep the brand, or, without a name, remove it."""
    if form.has("remove"):
        await brands.remove()
    else:
        with refused_with(FORM, form, kept=await brands.get()):
            await brands.keep(
                Brand(
                    name=form.get("name"),
                    logo_url=form.get("logoUrl") or None,
                    accent=form.get("accent").lower() or None,
                )
            )
    await trail.add("portal_brand.changed", app_id=None, target=None)
    return go("/brand", done="changed")


@router.get("/brand.css", operation_id="console.brand.style")
async def show_style_sheet(viewer: ViewerDep) -> Response:
    """The colours of the organisation whose application the session is of; none for an operator."""
    return Response(
        style_sheet(viewer.brand), media_type="text/css", headers={"cache-control": "private, max-age=3600"}
    )
